"""Benchmarks, one a file: rows of a dataset → problems, a text → its answer and answer key."""

BUILTIN: dict[str, str] = {
    "aime": "testtime.tasks.aime:Aime",
    "aqua": "testtime.tasks.aqua:Aqua",
    "bfcl": "testtime.tasks.bfcl:Bfcl",
    "corrupted": "testtime.tasks.corrupted:Corrupted",
    "gpqa": "testtime.tasks.gpqa:Gpqa",
    "gsm8k": "testtime.tasks.gsm8k:Gsm8k",
    "humaneval": "testtime.tasks.humaneval:HumanEval",
    "local": "testtime.tasks.local:Local",
    "math": "testtime.tasks.math:Math",
    "mbpp": "testtime.tasks.mbpp:Mbpp",
    "mmlu": "testtime.tasks.mmlu:Mmlu",
    "nemotron": "testtime.tasks.nemotron:Nemotron",
    "pocket-math": "testtime.tasks.pocket_math:PocketMath",
    "safety": "testtime.tasks.safety:Safety",
    "svamp": "testtime.tasks.svamp:Svamp",
    "truthfulqa": "testtime.tasks.truthfulqa:TruthfulQa",
}

HUB: dict[str, str] = {
    "cais/mmlu": "mmlu",
    "ChilleD/SVAMP": "svamp",
    "deepmind/aqua_rat": "aqua",
    "domenicrosati/TruthfulQA": "truthfulqa",
    "google-research-datasets/mbpp": "mbpp",
    "HuggingFaceH4/MATH-500": "math",
    "HuggingFaceH4/aime_2024": "aime",
    "Idavidrein/gpqa": "gpqa",
    "math-ai/aime24": "aime",
    "math-ai/aime25": "aime",
    "Maxwell-Jia/AIME_2024": "aime",
    "nvidia/Nemotron-Post-Training-Dataset-v1": "nemotron",
    "nvidia/Nemotron-Post-Training-Dataset-v2": "nemotron",
    "openai/gsm8k": "gsm8k",
    "openai/openai_humaneval": "humaneval",
    "truthfulqa/truthful_qa": "truthfulqa",
}
"""Ids of the hub whose rows these tasks read → task."""
