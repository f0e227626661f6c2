"""Any causal language model that `transformers` loads, on this machine's CPU or GPUs."""
