"""Servers on this machine: any model of ours on the OpenAI wire (`testtime serve`), and a vLLM for a run."""
