"""Backends, one a file: each answers requests and says what it can do. Nothing is imported until it is named."""

BUILTIN: dict[str, str] = {
    "echo": "testtime.models.echo:Echo",
    "pocket": "testtime.models.pocket.backend:PocketModel",
}
