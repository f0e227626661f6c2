"""Every key of the documented configurations is honoured, noticed or refused; the shipped files can be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from testtime.build import resolve
from testtime.core.errors import BadInput
from testtime.documented import NOTICED, OFF, localised, translated
from testtime.runspec import RunSpec, notices_of, run_spec

ROOT = Path(__file__).parent.parent
BASE = "model_name: pocket-m\ndataset_name: pocket-math\nstart_token_budget: 3\nend_token_budget: 6\n"
EVERY = {
    "model_name", "tokenizer_name", "dataset_name", "num_samples", "sample_idxs_range", "num_completions", "batch_size",
    "force_end_batch_size", "solution_set_batch_size", "USE_TOKEN_BUDGET_BATCH_SIZE_MAPPING", "token_batch_mapping",
    "inference_engine", "vllm_gpu_memory_utilization", "vllm_max_num_seqs", "max_model_len", "quantization",
    "ATTENTION_TYPE", "max_new_tokens_frac", "final_answer_budget", "do_sample", "temperature", "top_p", "top_k",
    "repetition_penalty", "force_end", "force_continue", "answer_indicator_token", "REMOVE_ANSWER_AT_CONTINUATION",
    "n_tokens_remove_answer", "INSERT_SYSTEM_PROMPT_FOR_FORCE_CONTINUE", "CHECK_FOR_FORCE_CONTINUE_REPETITIONS",
    "force_continue_repetition_threshold", "APPEND_EOS_TOKEN", "aime_answer_prompt", "bad_words", "safety_buffer",
    "normalise_over_solution_set", "SAVE_BOOL", "TIME_BASED_SAVING", "save_every_n_mins", "DEBUG_MODE",
    "LOCALISATION_RUN", "start_token_budget", "end_token_budget",
}  # fmt: skip


def spec(tmp_path: Path, text: str, **flags: Any) -> RunSpec:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return resolve(run_spec(flags, path))


def test_exponents_are_powers_of_two(tmp_path: Path) -> None:
    got = spec(tmp_path, BASE + "num_completions: 3\nnormalise_over_solution_set: true\n")
    assert got.decoding == tuple(f"budget:budget={budget}" for budget in (8, 16, 32, 64))
    assert (got.model, got.num_candidates) == ("pocket:pocket-m", 3)
    shared = spec(tmp_path, BASE + "decoding: prefix\n")
    assert shared.decoding == ("prefix:budget=(8,16,32,64)",)


def test_flags_beat_the_file(tmp_path: Path) -> None:
    got = spec(tmp_path, BASE + "num_completions: 3\n", budgets=["100", "200"], num_candidates=5, decoding=["prefix"])
    assert got.decoding == ("prefix:budget=(100,200)",)
    assert got.num_candidates == 5


def test_how_thinking_ends_and_goes_on(tmp_path: Path) -> None:
    text = (
        BASE
        + 'force_end: "</think>FINAL ANSWER: \\\\boxed{"\nforce_continue: " Hmm, but let me keep thinking... <think>"'
        "\nCHECK_FOR_FORCE_CONTINUE_REPETITIONS: true\nnormalise_over_solution_set: false\ndecoding: prefix\n"
        "final_answer_budget: 12\ndo_sample: false\n"
    )
    got = spec(tmp_path, text)
    assert got.decoding == (
        "prefix:final_answer_budget=12,force_continue=hmm,repetition_threshold=100,force_end=FINAL ANSWER: \\boxed{,"
        "score=gold,budget=(8,16,32,64)",
    )
    assert got.temperature == 0


def test_what_changes_nothing_is_said(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(BASE + "batch_size: 4\nATTENTION_TYPE: flash\nquantization: null\nAPPEND_EOS_TOKEN: false\n")
    assert [line.partition(" ")[0] for line in notices_of(path)] == ["batch_size", "ATTENTION_TYPE"]
    assert resolve(run_spec({}, path)).concurrency == 16


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("APPEND_EOS_TOKEN: true", "config.yaml:5: APPEND_EOS_TOKEN=True cannot be honoured"),
        ("quantization: 4", "else serve the model quantized"),
        ("sample_idxs_range: [130]", "first, end"),
        ("num_samples: 3\nsample_idxs_range: [0, 9]", "both given"),
        ("max_new_token: 3", "unknown key 'max_new_token'; did you mean max_new_tokens"),
    ],
)
def test_what_would_change_the_draws_is_refused(line: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=why.replace("(", r"\(")):
        spec(tmp_path, BASE + line + "\n")


@pytest.mark.parametrize(
    ("start", "end", "why"),
    [(9, 3, "is above"), ("x", 3, "exponent of 2"), (3, 128, "exponent of 2"), (3, "null", "exponent of 2")],
)
def test_budgets_that_are_no_exponents_are_refused(start: object, end: object, why: str, tmp_path: Path) -> None:
    text = BASE.replace("budget: 3", f"budget: {start}").replace("budget: 6", f"budget: {end}")
    with pytest.raises(BadInput, match=why):
        spec(tmp_path, text)


def test_localisation_inside_an_octave(tmp_path: Path) -> None:
    assert localised(7, 0.125) == [128, 144, 160, 176, 192, 208, 224, 240, 256]
    assert localised(3, 0.3) == [8, 10, 12, 15]
    text = BASE.replace("end_token_budget: 6\n", "LOCALISATION_RUN: true\nmax_new_tokens_frac: 0.5\n")
    assert spec(tmp_path, text + "decoding: prefix\n").decoding == ("prefix:budget=(8,12,16)",)
    several = text.replace("budget: 3", "budget: [3, 5]") + "decoding: prefix\n"
    assert spec(tmp_path, several).decoding == ("prefix:budget=(8,12,16,32,48,64)",)
    each = spec(tmp_path, several + "sample_idxs_range: [[4, 6], 9]\n")
    assert (each.start_index, each.max_queries) == (4, 6)
    with pytest.raises(BadInput, match="an exponent of 2, from 0 to 20, or a list"):
        spec(tmp_path, text.replace("budget: 3", "budget: [3, x]"))


def test_a_range_of_problems_may_begin_anywhere(tmp_path: Path) -> None:
    got = spec(tmp_path, BASE + "sample_idxs_range: [130, 198]\n")
    assert (got.start_index, got.max_queries) == (130, 68)
    with pytest.raises(BadInput, match="cannot be honoured"):
        spec(tmp_path, BASE + "sample_idxs_range: [198, 130]\n")


def test_no_key_is_forgotten() -> None:
    """Each key is translated, noticed, or off; and the how-to says what becomes of it."""
    page = (ROOT / "docs" / "howto-emergence.md").read_text(encoding="utf-8")
    assert [key for key in sorted(EVERY) if f"`{key}" not in page] == []
    off = {key: usual for key, (usual, _) in OFF.items()}
    kept, notices = translated(
        {**dict.fromkeys(NOTICED, 1), **off, "start_token_budget": 3, "end_token_budget": 4}, str
    )
    assert kept == {"decoding": "budget", "budget": [8, 16]}
    assert len(notices) == len(NOTICED)


@pytest.mark.parametrize("path", sorted((ROOT / "experiments" / "emergent").glob("*.yaml")), ids=lambda path: path.name)
def test_the_shipped_configurations_can_be_read(path: Path, tmp_path: Path) -> None:
    given = {"dataset_path": tmp_path / "rows.jsonl"} if "gsm8k" in path.name else {}
    got = resolve(run_spec(given, path))
    assert got.decoding
    assert "budget=" in got.decoding[0]


def test_documented_keys_can_be_typed_over_a_file_and_without_one(tmp_path: Path) -> None:
    got = spec(tmp_path, BASE + "decoding: prefix\nnum_samples: 9\n", end_token_budget=4, sample_idxs_range="(2, 5)")
    assert got.decoding == ("prefix:budget=(8,16)",)
    assert (got.start_index, got.max_queries) == (2, 3)
    plain = spec(
        tmp_path, "model: pocket-m\ndataset: pocket-math\nbudgets: [100]\n", start_token_budget=3, end_token_budget=4
    )
    assert plain.decoding == ("budget:budget=8", "budget:budget=16")
    typed = {"start_token_budget": 6, "LOCALISATION_RUN": "true", "max_new_tokens_frac": 0.5, "decoding": ["prefix"]}
    alone = {"model": "pocket-m", "dataset": "pocket-math", "normalise_over_solution_set": "False", "run": None}
    assert resolve(run_spec({**alone, **typed})).decoding == ("prefix:score=gold,budget=(64,96,128)",)
    with pytest.raises(BadInput, match="--normalise_over_solution_set 3 cannot be; expected true or false"):
        run_spec({**alone, "normalise_over_solution_set": "3"})
    with pytest.raises(BadInput, match="--end_token_budget: end_token_budget=30 cannot be"):
        spec(tmp_path, BASE, end_token_budget=30)


def test_what_a_started_server_and_fewer_bits_are_told(tmp_path: Path) -> None:
    served = BASE.replace("model_name: pocket-m", "model_name: org/m") + "inference_engine: vllm\nserve: vllm\n"
    got = spec(tmp_path, served + "vllm_gpu_memory_utilization: 0.4\nmax_model_len: 4096\n")
    assert (got.gpu_memory_utilization, got.max_model_len) == (0.4, 4096)
    local = BASE.replace("model_name: pocket-m", "model_name: org/m") + "inference_engine: hf\nquantization: 8\n"
    assert spec(tmp_path, local).quantization == "8bit"
    with pytest.raises(BadInput, match="4 and 8 bits are those of the engine hf"):
        spec(tmp_path, local.replace("hf", "vllm"))
