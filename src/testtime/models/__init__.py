"""Backends, one a file: each answers requests and says what it can do. Nothing is imported until it is named."""

BUILTIN: dict[str, str] = {
    "echo": "testtime.models.echo:Echo",
    "anthropic": "testtime.models.anthropic:Claude",
    "bedrock": "testtime.models.bedrock:Bedrock",
    "gemini": "testtime.models.gemini:Gemini",
    "hf": "testtime.models.hf.backend:HF",
    "hf-reward": "testtime.models.hf.reward:Reward",
    "hyperbolic": "testtime.models.openai.backend:OpenAI",
    "openai": "testtime.models.openai.backend:OpenAI",
    "pocket": "testtime.models.pocket.backend:PocketModel",
    "sglang": "testtime.models.openai.backend:OpenAI",
    "together": "testtime.models.openai.backend:OpenAI",
    "vllm": "testtime.models.openai.backend:OpenAI",
}
"""Provider → its backend. Hosts of OpenAI's wire share one; a test holds them to models/openai/hosts.toml."""
