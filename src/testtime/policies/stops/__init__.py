"""TODO"""

BUILTIN: dict[str, str] = {}
