"""`testtime stats` on the pocket models: by the base's own weights, at each consultation or every token; bounds are
marked where a model shows no states; labelled steps in PRM800K's format (prm800k.jsonl: made by hand, every field and
oddity of the published one in it).
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testtime.cli import main
from testtime.core.records import Request
from testtime.core.signals import ATTENTION, STATISTICS, statistics
from testtime.models.pocket.backend import PocketModel
from testtime.models.pocket.original import original_stats
from testtime.models.pocket.scoring import attention_stats
from testtime.statistics import Reader, analysed, labelled_steps, places_of, request_of
from testtime.tasks.pocket_math import PROMPT, PocketMath, stories
from testtime.tasks.pocket_trace import line as trace_line


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guided")
    file = folder / "rows.jsonl"
    line = ["guide", "--base_model", "pocket-s", "--oracle_model", "pocket-m", "--dataset", "pocket-math", "--split",
            "validation-medium", "--num_samples", "12", "--c", "1", "3", "--k", "3", "--trigger", "entropy",
            "--output_file", str(file)]  # fmt: skip
    assert main(line) == 0
    return file


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_consultation_has_eight_statistics_by_the_bases_own_weights(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "analysis.jsonl"
    assert main(["stats", "--stats_file", str(rows), "--output_file", str(out), "--device", "cpu", "--verbose"]) == 0
    for before, after in zip(read(rows), read(out), strict=True):
        assert {key: after[key] for key in before} == before, "the evaluation's own fields are kept"
        assert after["analysis_model"] == before["base_model_id"] == "pocket:pocket-s"
        assert after["acc"] == before["correct"]
        if before["cheat_positions"]:
            assert [one["position"] for one in after["analysis_result"]] == before["cheat_positions"]
        for entry in after["analysis_result"]:
            assert set(STATISTICS) <= entry.keys()
            assert not entry["truncated"]
            assert 0 <= entry["normalized_position"] <= 1


def test_statistics_are_those_of_the_law_by_teacher_forcing(rows: Path) -> None:
    base, row = PocketModel("pocket-s", threads=1), next(row for row in read(rows) if row["cheat_positions"])
    found = asyncio.run(analysed(Reader(base), row, every=False))
    request, entry = request_of(row), found["analysis_result"][0]
    start = Request(request.messages, request.prefix[: entry["position"]])
    (law,) = asyncio.run(base.score(start, [(5,)], full=True))
    for name, value in statistics(law[0]).items():
        assert entry[name] == pytest.approx(value, abs=1e-9)


def test_a_model_without_states_gives_marked_bounds_and_no_attention(rows: Path) -> None:
    class Bare(PocketModel):
        can = PocketModel.can - {"states"}

    whole, bare = Reader(PocketModel("pocket-s", threads=1)), Reader(Bare("pocket-s", threads=1))
    for row in [row for row in read(rows) if row["cheat_positions"]][:4]:
        sure, bound = (asyncio.run(analysed(reader, row, every=False)) for reader in (whole, bare))
        for one, other in zip(sure["analysis_result"], bound["analysis_result"], strict=True):
            assert other["truncated"]
            assert other["entropy"] <= one["entropy"] + 1e-6
            assert other["top_prob"] == pytest.approx(one["top_prob"], abs=1e-5)
            assert all(other[name] is None for name in ATTENTION)


def test_every_token_can_be_looked_at_drawn_and_shaded(rows: Path, tmp_path: Path) -> None:
    out, page, heat = tmp_path / "a.jsonl", tmp_path / "a.html", tmp_path / "a.png"
    line = ["stats", "--stats_file", str(rows), "--output_file", str(out), "--every", "--out_html", str(page)]
    assert main([*line, "--out_png", str(heat), "--positions_png", str(tmp_path / "b.png")]) == 0
    for row in read(out):
        ids = [token for piece in row["interleaved_outputs"] for token in piece["token_ids"]]
        assert [one["position"] for one in row["analysis_result"]] == list(range(len(ids)))
        assert "".join(text for piece in row["interleaved_outputs"] for text in piece["spelled"]) == row["result"]
    assert "&lt;think&gt;" in page.read_text()
    assert heat.read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_read_is_one_line(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "--stats_file", str(rows), "--device", "cuda"]) == 2
    assert "do not run on cuda" in capsys.readouterr().err
    assert main(["stats"]) == 2
    assert "--stats_file and --steps_file" in capsys.readouterr().err


def test_a_text_nobody_was_asked_for_is_read_at_every_token() -> None:
    pieces = [{"model_type": "base", "output": "ab", "tokens": 2, "token_ids": [3, 4]}]
    assert places_of({"interleaved_outputs": pieces, "cheat_positions": []}, every=False) == [0, 1]


def test_attention_is_not_softmaxed_twice_and_the_original_is_there_to_compare() -> None:
    scores = np.random.default_rng(0).normal(size=(3, 7, 7))
    corrected, original = attention_stats(scores[:, -1]), original_stats(scores)
    alpha = np.exp(scores[:, -1]) / np.exp(scores[:, -1]).sum(axis=1, keepdims=True)
    assert corrected["attn_entropy"] == pytest.approx(-(alpha * np.log2(alpha)).sum(axis=1).mean())
    assert corrected["interaction_strength"] == pytest.approx(np.abs(scores[:, -1]).mean())
    assert original["interaction_strength"] == pytest.approx(1 / 7), "it carries nothing but the length"
    assert original["attn_entropy"] > 0.98 * np.log2(7), "flattened: nearly uniform whatever the scores"
    same = np.repeat(scores[:1], 3, axis=0)
    assert attention_stats(same[:, -1])["agreement"] == pytest.approx(0)
    assert original_stats(scores[:, :1, :1])["attn_varentropy"] == 0.0


def test_the_original_mode_is_one_flag(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    assert main(["stats", "--stats_file", str(rows), "--output_file", str(out), "--stats_mode", "original"]) == 0
    row = next(row for row in read(out) if row["cheat_positions"])
    prompt = len(PocketModel("pocket-s", threads=1).tokenizer.prompt(request_of(row).messages))
    for entry in row["analysis_result"]:
        assert entry["interaction_strength"] == pytest.approx(1 / (prompt + entry["position"]))


def test_labelled_steps_follow_what_was_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "steps.jsonl"
    told = zip(PocketMath().problems("validation-medium"), stories("validation", "medium", 6), strict=False)
    written = []
    for problem, story in told:
        steps = []
        for at, step in enumerate(story.steps):
            text = trace_line(step).rstrip("\n")
            slip = f"{text[:-1]}{(int(text[-1]) + 1) % 10}"
            first = "<think>\n" if at == 0 else ""
            completions = [{"text": first + text, "rating": 1}, {"text": first + slip, "rating": -1}]
            steps.append({"completions": completions, "chosen_completion": 0, "human_completion": None})
        question = {"problem": PROMPT.format(question=problem.question), "ground_truth_answer": problem.reference}
        written.append({"question": question, "label": {"steps": steps, "finish_reason": "solution"}})
    file.write_text("".join(json.dumps(row) + "\n" for row in written))
    found, left_out = labelled_steps(file)
    assert not left_out
    assert found[2].before == found[0].text + "\n", "the chosen step stands before the next"
    assert {one.rating for one in found} == {1, -1}
    out = tmp_path / "out.jsonl"
    assert main(["stats", "--steps_file", str(file), "--model", "pocket-m", "--output_file", str(out)]) == 0
    assert "at the end of a step" in capsys.readouterr().out
    assert len(read(out)) == 2 * len(found)


LABELLED = Path(__file__).parent / "prm800k.jsonl"


def test_the_published_format_is_read_with_its_oddities() -> None:
    found, left_out = labelled_steps(LABELLED)
    assert left_out == 2, "quality control and screening"
    told = [(one.row, one.step, one.rating, one.before) for one in found]
    assert told == [
        (0, 0, 1, ""), (0, 0, -1, ""), (0, 0, 0, ""),
        (0, 1, -1, "27+18=45\n"), (0, 1, 1, "27+18=45\n"),  # the third completion was not rated
        (0, 2, 1, "27+18=45\n45-5=40\n"),  # the second completion was chosen
        (1, 0, -1, ""), (1, 0, -1, ""),
        (1, 1, 1, "12*13=156\n"),  # what a person wrote, which nobody rated
        (2, 0, 1, ""), (2, 1, -1, "3*4=12\n"), (2, 1, -1, "3*4=12\n"),  # given up there
        (4, 0, 1, ""), (4, 1, -1, "27+18=45\n"), (4, 1, 1, "27+18=45\n"),  # ended at the first error
        (5, 0, 1, ""), (5, 1, 1, "12*13=156\n"),
    ]  # fmt: skip
    assert {one.row: one.finish_reason for one in found} == {
        0: "solution", 1: "solution", 2: "give_up", 4: "found_error", 5: "solution",
    }  # fmt: skip
    by_problem = {one.row: one.query_id for one in found}
    assert by_problem[0] == by_problem[4] != by_problem[1] == by_problem[5], "rows of one problem are one cluster"


def test_statistics_of_labelled_steps_are_those_of_the_reading_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    assert main(["stats", "--steps_file", str(LABELLED), "--model", "pocket-s", "--output_file", str(out)]) == 0
    shown = capsys.readouterr()
    assert "17 labelled steps of 3 problems, by pocket-s" in shown.out
    assert "1 of 34 could not be read" in shown.out, "# is no token of the model: the end of one step"
    base, written = PocketModel("pocket-s", threads=1), read(out)
    assert len(written) == 2 * 17
    steps, _ = labelled_steps(LABELLED)
    for step, (start, end) in zip(steps, zip(written[::2], written[1::2], strict=True), strict=True):
        for row, text in ((start, step.before), (end, step.before + step.text)):
            if "#" in text:
                assert row["entropy"] is None
                continue
            request = Request([{"role": "user", "content": step.problem}], text)
            (law,) = asyncio.run(base.score(request, [(5,)], full=True))
            assert row["entropy"] == pytest.approx(statistics(law[0])["entropy"], abs=1e-9)
            assert row["rating"] == step.rating
            assert row["attn_entropy"] is not None


@pytest.mark.parametrize(
    "label",
    [{"steps": [{}]}, {"steps": [{"completions": [], "chosen_completion": 0}]}, {"steps": 3}, {}, {"steps": [3]}],
)
def test_rows_in_no_such_format_are_one_line(label: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "steps.jsonl"
    file.write_text(json.dumps({"question": {"problem": "x"}, "label": label}))
    assert main(["stats", "--steps_file", str(file), "--model", "pocket-s"]) == 2
    assert f"{file}:1" in capsys.readouterr().err


def test_a_named_model_reads_the_texts_instead(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.jsonl"
    assert main(["stats", "--stats_file", str(rows), "--output_file", str(out), "--model", "pocket-m"]) == 0
    assert {row["analysis_model"] for row in read(out)} == {"pocket:pocket-m"}


def test_texts_without_token_ids_are_read_by_the_models_own(rows: Path) -> None:
    """At the same places the statistics are those by ids, wherever the joints fall between whole tokens."""
    reader = Reader(PocketModel("pocket-s", threads=1))
    for row in [row for row in read(rows) if row["cheat_positions"]][:3]:
        bare = {**row, "interleaved_outputs": [{**one, "token_ids": None} for one in row["interleaved_outputs"]]}
        for every in (False, True):
            sure, other = (asyncio.run(analysed(reader, one, every)) for one in (row, bare))
            assert [one["position"] for one in other["analysis_result"]] == [
                one["position"] for one in sure["analysis_result"]
            ]
            for one, two in zip(sure["analysis_result"], other["analysis_result"], strict=True):
                assert two["entropy"] == pytest.approx(one["entropy"], abs=1e-4)


def test_the_weights_of_a_server_here_are_opened_where_a_device_is_named() -> None:
    pytest.importorskip("openai", reason="openai is not installed")
    assert Reader.open("8B", None, "corrected").model.name == "vllm:meta-llama/Llama-3.1-8B-Instruct"
    assert Reader.open("8B", "cuda", "corrected").model.name == "hf:meta-llama/Llama-3.1-8B-Instruct"
