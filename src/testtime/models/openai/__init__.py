"""OpenAI and every host that speaks its wire: which host can what is data (hosts.toml), how it is asked is code."""
