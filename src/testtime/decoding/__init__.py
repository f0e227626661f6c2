"""How one draw is made, one decoding a file. A decoding holds no model: it asks, by role."""

BUILTIN: dict[str, str] = {"plain": "testtime.decoding.plain:Plain"}
