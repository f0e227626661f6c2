"""Tools: what they are called and give as data, how they are played, computed, and run as Python functions."""

BUILTIN: dict[str, str] = {
    name: f"testtime.tools.computed:{function}"
    for name, function in {
        "calculate": "calculate",
        "convert_units": "convert_units",
        "convert_time": "convert_time",
        "days_between": "days_between",
        "add_days": "add_days",
        "day_of_week": "day_of_week",
    }.items()
}
"""Tool → the Python function that a run may give a model (`--decoding tools --tools calculate`)."""
