"""The nouns (records), the verbs (protocols), and what all rooms share. Imports nothing of ours."""
