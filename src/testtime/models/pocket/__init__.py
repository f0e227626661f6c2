"""The embedded models: tiny Llama-architecture language models and a runtime for them, without torch."""
