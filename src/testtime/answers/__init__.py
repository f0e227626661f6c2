"""Text → the answer it prints → the key that is compared in a vote. No model, no task."""
