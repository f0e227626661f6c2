"""Proves that logs of other harnesses become pools: Inspect, lm-evaluation-harness and lighteval from files they wrote
themselves (tests/importers/logs), NeMo-Skills, which is on no registry, from rows in its documented form; and that
whoever names such a file or folder as a pool gets it.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import polars as pl
import pytest

import testtime as tt
from testtime.core.errors import BadInput
from testtime.importers import inspect_log, lighteval, lm_eval, nemo, sniff
from testtime.store.frame import pool_of

LOGS = Path(__file__).parent / "logs"


def test_a_log_that_inspect_wrote_is_a_pool():
    """inspect-ai 0.3 with mockllm: three samples, four epochs, the `match` scorer; compressed with Zstandard."""
    found = inspect_log.read(LOGS / "inspect_mockllm.eval")
    pool = pool_of(found.frame, found.meta)
    (draws,) = pool.arms.values()
    assert (pool.problems, draws.codes.shape, pool.dataset) == (["1", "2", "3"], (3, 4), "sums")
    assert draws.right.tolist() == [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert draws.codes[2].tolist()[-1] == -1
    assert (draws.column("completion") > 0).all()


def test_a_log_without_compression_or_samples(tmp_path):
    path = tmp_path / "x.eval"
    sample = {"id": "q", "epoch": 1, "target": "4", "output": {"completion": "4"}, "scores": {"s": {"value": 1.0}}}
    with zipfile.ZipFile(path, "w") as log:
        log.writestr("samples/q_epoch_1.json", json.dumps(sample))
    assert inspect_log.read(path).frame["is_verified"].to_list() == [True]
    with zipfile.ZipFile(path, "w") as log:
        log.writestr("header.json", "{}")
    with pytest.raises(BadInput, match="without samples"):
        inspect_log.read(path)
    for data in (b"", b"PK\x03\x04 torn", b"not a zip"):
        path.write_bytes(data)
        with pytest.raises(BadInput, match=r"x\.eval"):
            inspect_log.read(path)


def test_samples_that_lm_eval_wrote_are_a_pool():
    """lm_eval 0.4 with a scripted model: two documents, four repeats, three filters of which one keeps them all."""
    found = lm_eval.read(LOGS / "samples_sums_2026-11-25.jsonl")
    pool = pool_of(found.frame, found.meta)
    (draws,) = pool.arms.values()
    assert (pool.problems, draws.codes.shape, pool.dataset) == (["0", "1"], (2, 4), "sums")
    assert draws.right.tolist() == [[1, 1, 0, 0], [1, 1, 0, 1]]
    assert draws.codes[0].tolist() == [0, 0, 1, -1]


def write(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_filter_that_keeps_every_repeat_gives_the_answers(tmp_path):
    row = {"doc_id": 0, "doc": {"question": "?"}, "target": "so #### 18", "resps": [["it is 18", "no", "26"]]}
    rows = [
        row | {"filter": "maj@3", "filtered_resps": ["18"]},
        row | {"filter": "all", "filtered_resps": [["18", "[invalid]", "26"]]},
    ]
    found = lm_eval.read(write(tmp_path / "samples_gsm8k_cot_2026-01-01T00-00-00.jsonl", rows))
    assert found.frame["answer_key"].to_list() == ["18", None, "26"]
    assert found.frame["is_verified"].to_list() == [True, False, False]
    assert found.meta["dataset"] == "gsm8k_cot"
    bare = lm_eval.read(write(tmp_path / "samples_x_1.jsonl", rows[:1]))
    assert bare.frame["answer_key"].to_list() == ["18", None, "26"]


def test_a_log_of_likelihoods_is_no_pool(tmp_path):
    row = {"doc_id": 0, "target": 1, "resps": [[[-1.0, False]]], "filtered_resps": [[-1.0, False]]}
    with pytest.raises(BadInput, match="likelihoods"):
        lm_eval.read(write(tmp_path / "s.jsonl", [row]))


def test_a_folder_of_seeds_is_a_pool_with_a_draw_each(tmp_path):
    def row(answer: str | None, tokens: int) -> dict:
        return {
            "problem": "?", "expected_answer": "18", "predicted_answer": answer, "generation": "…",
            "num_generated_tokens": tokens,
        }  # fmt: skip

    for seed, answers in ((10, ["18", "3"]), (2, [None, "18.0"])):
        write(tmp_path / f"eval/output-rs{seed}.jsonl", [row(answer, seed) for answer in answers])
    (tmp_path / "eval/metrics.json").write_text("{}")
    found = nemo.read(tmp_path / "eval")
    assert found.frame["query_id"].to_list() == ["0", "0", "1", "1"]
    assert found.frame["answer_key"].to_list() == [None, "18", "18", "3"]
    assert found.frame["is_verified"].to_list() == [False, True, True, False]
    assert found.frame["completion_tokens"].to_list() == [2, 10, 2, 10]
    with pytest.raises(BadInput, match="output-rs"):
        nemo.read(tmp_path)


@pytest.mark.parametrize(
    ("told", "right"),
    [
        ({"symbolic_correct": False, "judgement": "Judgement: Yes"}, False),
        ({"is_correct": True}, True),
        ({"judgement": "Reasoning: at first Judgement: No, but it is.\nJudgement: Yes"}, True),
        ({"judgement": "Judgement: no"}, False),
        ({"judgement": "I cannot say"}, True),
    ],
)
def test_what_a_judge_wrote_beside_a_seed_is_its_verdict(tmp_path, told, right):
    row = {"problem": "?", "expected_answer": "4", "predicted_answer": "4", "generation": "4"}
    found = nemo.read(write(tmp_path / "output-rs0.jsonl", [row | told | {"reward_model_score": 0.5}]))
    assert found.frame["is_verified"].to_list() == [right]
    assert found.frame["rm_score"].to_list() == [0.5]
    bare = nemo.read(write(tmp_path / "output-rs1.jsonl", [row]))
    assert "rm_score" not in bare.frame.columns


def test_details_that_lighteval_wrote_are_a_pool():
    """Lighteval 0.13 with a scripted model: three documents, out of order, four samples each, pass@1 of its own."""
    found = lighteval.read(LOGS / "details_lighteval.parquet")
    pool = pool_of(found.frame, found.meta)
    (draws,) = pool.arms.values()
    assert (sorted(pool.problems), draws.codes.shape, pool.dataset) == (["0", "1", "2"], (3, 4), "sums")
    own = pl.read_parquet(LOGS / "details_lighteval.parquet")
    theirs = {row["doc"]["id"]: row["metric"]["pass@k:k=1&n=4"] for row in own.iter_rows(named=True)}
    ours = dict(zip(pool.problems, draws.right.mean(axis=1).tolist(), strict=True))
    assert ours == theirs
    assert draws.codes[pool.problems.index("0")].tolist()[-1] == -1
    assert (draws.column("completion") > 0).all()


def test_what_another_harness_wrote_is_loaded_by_its_path_alone(tmp_path):
    rows = [{"problem": "?", "expected_answer": "4", "predicted_answer": "4", "generation": "4"}]
    for seed in (0, 1):
        write(tmp_path / "seeds" / f"output-rs{seed}.jsonl", rows)
    found = {path: sniff(path) for path in (*LOGS.iterdir(), tmp_path / "seeds")}
    assert sorted(map(str, found.values())) == ["inspect", "lighteval", "lm-eval", "nemo-skills"]
    for path in found:
        (pool,) = tt.load(path).pools
        assert pool.problems
    (draws,) = tt.load(tmp_path / "seeds").pools[0].arms.values()
    assert draws.codes.shape == (1, 2)
    assert len(tt.load(LOGS).pools) == 3
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "other.parquet")
    assert not lighteval.knows(tmp_path / "other.parquet")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    assert not lighteval.knows(tmp_path / "torn.parquet")


def test_details_of_lighteval_are_a_pool(tmp_path):
    path = tmp_path / "details_lighteval|gsm8k|0_2026.parquet"
    doc = {"query": "?", "choices": ["work #### 18"], "gold_index": [0]}
    response = {"text": ["it is 18", "26"], "output_tokens": [[1, 2, 3], [1]]}
    pl.DataFrame({"doc": [doc], "model_response": [response], "metric": [{"maj@2": 1}]}).write_parquet(path)
    found = lighteval.read(path)
    assert found.frame["is_verified"].to_list() == [True, False]
    assert found.frame["completion_tokens"].to_list() == [3, 1]
    assert found.meta["dataset"] == "gsm8k"
    pl.DataFrame({"doc": [doc]}).write_parquet(path)
    with pytest.raises(BadInput, match="model_response"):
        lighteval.read(path)


def test_an_lm_eval_row_without_a_target_is_of_unknown_worth(tmp_path: Path) -> None:
    log = tmp_path / "samples_x_1.jsonl"
    log.write_text(json.dumps({"doc_id": 3, "resps": [["the answer is 4"]], "filtered_resps": ["4"]}) + "\n")
    frame = lm_eval.read(log).frame
    assert frame["is_verified"].to_list() == [None]
    assert frame["ground_truth_answer"].to_list() == [None]
