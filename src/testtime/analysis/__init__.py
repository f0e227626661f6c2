"""What a pool says: outcomes of policies, exactly where possible, and the tables, curves and comparisons made of them.

Pool → `replay.outcomes` → one row a problem → `table.summarise`, `frontier.frontier`, `compare.paired`,
`against.against`. No model, no network; every accuracy has an interval over problems (bootstrap.py).
"""
