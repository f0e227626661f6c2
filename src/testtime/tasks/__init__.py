"""Benchmarks, one a file: rows of a dataset → problems, a text → its answer and answer key."""

BUILTIN: dict[str, str] = {
    "gsm8k": "testtime.tasks.gsm8k:Gsm8k",
    "pocket-math": "testtime.tasks.pocket_math:PocketMath",
}
