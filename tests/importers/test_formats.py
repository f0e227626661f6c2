"""Proves how each format is read, on rows written here, and that each bad row is one line naming file and line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.core.errors import BadInput
from testtime.core.registry import find, names
from testtime.importers import sniff
from testtime.importers.imported import NAMES, Imported
from testtime.store.frame import pool_of
from testtime.store.pool import Draws

Row = dict[str, Any]
ROWS: dict[str, Row] = {
    "answers": {"id": 0, "gold": 18.0, "answers": [18, "18.0", None, "17"], "tokens": [9, 8, 7, None]},
    "esc": {"question": "q", "answer": "yajo", "generated_answer": ["The answer is 'Ya-jo'.", "It is yajo."]},
    "qwen-rm": {"idx": 3, "gt": "7", "pred": ["7", "8"], "score": [True, False], "pred_score": [[1.5], 0.5]},
    "tot24": {"idx": 900, "ys": ["Steps:\n…\nAnswer: 1 + 2", "No.\n"], "infos": [{"r": 1}, {"r": 0}]},
}


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Imported]:
    def write_and_read(name: str, *rows: Row | str) -> Imported:
        path = tmp_path / "rows.jsonl"
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
        imported: Imported = find("importer", name)(path)
        return imported

    return write_and_read


def arm(imported: Imported) -> Draws:
    (draws,) = pool_of(imported.frame, imported.meta).arms.values()
    return draws


def test_numbers_are_one_vote_however_they_are_written(load: Callable[..., Imported]) -> None:
    answers = [18, 18.0, "18", "$18.00", " 18 ", "1,8", "Eighteen", "eighteen"]
    draws = arm(load("answers", {"id": "a", "gold": "18", "answers": answers}))
    assert draws.codes.tolist() == [[0, 0, 0, 0, 0, 1, 2, 3]]
    assert draws.right.tolist() == [[1, 1, 1, 1, 1, 0, 0, 0]]


def test_null_and_blank_answers_abstain_and_are_wrong(load: Callable[..., Imported]) -> None:
    draws = arm(load("answers", {"id": "a", "gold": "B", "answers": [None, " ", "B"], "tokens": [1, None, 3]}))
    assert draws.codes.tolist() == [[-1, -1, 0]]
    assert draws.right.tolist() == [[0, 0, 1]]
    assert np.isnan(draws.column("completion")).tolist() == [[False, True, False]]


def test_without_gold_nothing_is_right_or_wrong(load: Callable[..., Imported]) -> None:
    draws = arm(load("answers", {"id": "a", "gold": None, "answers": ["B", None]}))
    assert np.isnan(draws.right).all()


def test_optional_keys_are_kept(load: Callable[..., Imported]) -> None:
    common = {"run": "r", "model": "org/m:1", "provider": "p", "dataset": "d", "temperature": 0.7}
    row = {"id": "a", "gold": 1, "answers": [1, 2], "split": "s", "question": "q?", "scores": {"rm": [0.5, None]}}
    imported = load("answers", {**row, **common}, {**row, **common, "id": "b", "scores": {"rm": [1, 2]}})
    pool = pool_of(imported.frame, imported.meta)
    assert (pool.run, pool.dataset, pool.splits) == ("r", "d", ["s", "s"])
    assert (imported.meta["model"], imported.meta["provider"]) == ("org/m:1", "p")
    assert arm(imported).arm.models == {"model": "org/m:1"}
    assert arm(imported).arm.sampling == {"temperature": 0.7}
    np.testing.assert_array_equal(arm(imported).column("rm"), [[0.5, np.nan], [1, 2]])
    np.testing.assert_array_equal(arm(load("answers", {**row, "scores": [1, 2]})).column("score"), [[1, 2]])


def test_ragged_rows_are_told(load: Callable[..., Imported]) -> None:
    rows = [{"id": at, "gold": 1, "answers": [1] * count} for at, count in enumerate((3, 5, 5))]
    imported = load("answers", *rows)
    assert imported.meta["caveats"] == ["problems have 3 to 5 draws (1 have fewer than 5)"]
    assert arm(imported).size.tolist() == [3, 5, 5]
    assert arm(imported).sampled == 3


def test_the_same_rows_as_array_or_gzip_are_the_same_pool(tmp_path: Path) -> None:
    rows = [ROWS["answers"], {**ROWS["answers"], "id": 1}]
    forms = {"a.jsonl": "\n".join(map(json.dumps, rows)), "a.json": json.dumps(rows, indent=2)}
    frames = []
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
        frames += [find("importer", "answers")(tmp_path / file).frame for file in (name, f"{name}.gz")]
    assert all(frame.equals(frames[0]) for frame in frames)


def test_the_other_formats_are_read_by_their_own_keys(load: Callable[..., Imported]) -> None:
    keys = {name: load(name, row).frame["answer_key"].to_list() for name, row in ROWS.items()}
    assert keys == {
        "answers": ["18", "18", None, "17"],
        "esc": ["yajo", None],
        "qwen-rm": ["7", "8"],
        "tot24": ["Answer: 1 + 2", "No."],
    }
    right = {name: load(name, row).frame["is_verified"].to_list() for name, row in ROWS.items()}
    assert right == {
        "answers": [True, True, False, False],
        "esc": [True, False],
        "qwen-rm": [True, False],
        "tot24": [True, False],
    }
    assert load("qwen-rm", ROWS["qwen-rm"]).frame["rm_score"].to_list() == [1.5, 0.5]


def test_the_last_answer_is_counts_and_accents_are_letters(load: Callable[..., Imported]) -> None:
    said = ["The answer is no. THE ANSWER IS M-É y.", "The answer is 42."]
    row = {"question": "q", "answer": "Méy", "generated_answer": said}
    assert load("esc", row).frame["answer_key"].to_list() == ["méy", None]


@pytest.mark.parametrize("name", ROWS)
def test_every_importer_is_registered_sniffed_and_states_its_vote_key(
    name: str, load: Callable[..., Imported], tmp_path: Path
) -> None:
    imported = load(name, ROWS[name])
    assert sniff(tmp_path / "rows.jsonl") == name
    assert set(names("importer")) == set(ROWS) | {"inspect", "lm-eval", "nemo-skills", "lighteval", "best-of-n"}
    assert imported.meta["vote"]
    assert imported.frame.columns[: len(NAMES)] == list(NAMES)
    assert json.loads(json.dumps(imported.meta)) == imported.meta


def test_rows_of_another_shape_are_not_sniffed_and_unreadable_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    for data in (b"{}\n", b'{"question": "q", "answer": "#### 18"}\n'):
        path.write_bytes(data)
        assert sniff(path) is None
    for data in (b"", b"PAR1\x00\xff", b"hello\n", b'{"id": NaN}'):
        path.write_bytes(data)
        with pytest.raises(BadInput, match=str(path)):
            sniff(path)
    with pytest.raises(BadInput, match="no such file"):
        sniff(tmp_path / "none")


A, E, Q, T = ROWS.values()
BAD: list[tuple[str, Row | str, str]] = [
    ("answers", {**A, "answers": "18"}, "'answers' is not a list"),
    ("answers", {**A, "answers": []}, "'answers' is empty"),
    ("answers", {**A, "answers": [18, [18]], "tokens": [1, 1]}, "answers[1] is neither"),
    ("answers", {**A, "answers": [18, True], "tokens": [1, 1]}, "answers[1] is neither"),
    ("answers", {**A, "answers": [18, {}], "tokens": [1, 1]}, "answers[1] is neither"),
    ("answers", {**A, "answers": ["9" * 10**6], "tokens": [1]}, "answers[0] has 1,000,000 characters"),
    ("answers", {**A, "tokens": [1, 2]}, "'tokens' has 2 entries where 4"),
    ("answers", {**A, "tokens": None}, "'tokens' is not a list"),
    ("answers", {**A, "tokens": [1, 2, 3, -4]}, "tokens[3] is not a count"),
    ("answers", {**A, "tokens": [1, 2, 3, 0.5]}, "tokens[3] is not a count"),
    ("answers", {**A, "tokens": [1, 2, 3, "4"]}, "tokens[3] is not a number"),
    ("answers", {**A, "tokens": [1, 2, 3, 10**300]}, "tokens[3] is beyond what"),
    ("answers", {**A, "gold": " "}, "'gold' is blank"),
    ("answers", {**A, "gold": [1]}, "gold is neither"),
    ("answers", {**A, "id": None}, "'id' is empty"),
    ("answers", {**A, "id": 1.5}, "'id' is not a text"),
    ("answers", {**A, "id": "first"}, "'first' occurs twice, first at"),
    ("answers", {**A, "run": "other"}, "'run' differs"),
    ("answers", {**A, "run": 1.5}, "'run' is not a text"),
    ("answers", {**A, "scores": [1]}, "'score' has 1 entries where 4"),
    ("answers", {**A, "scores": {"is_verified": [1, 1, 1, 1]}}, "'is_verified' cannot name a score"),
    ("answers", {**A, "scores": {"a b": [1, 1, 1, 1]}}, "'a b' cannot name a score"),
    ("answers", {**A, "scores": {"completion": [1, 1, 1, 1]}}, "'completion' cannot name a score"),
    ("answers", {**A, "scores": [1, 1, 1, "x"]}, "score[3] is not a number"),
    ("answers", {**A, "scores": [1, 1, 1, 10**399]}, "score[3] is beyond"),
    ("answers", {"id": 1, "answers": [1]}, "no 'gold'"),
    ("answers", {"gold": 1, "answers": [1]}, "no 'id'"),
    ("answers", {"id": 1, "gold": 1}, "no 'answers'"),
    ("answers", '{"id": 1, "gold": 1, "answers": [NaN]}', "'NaN' is not a number"),
    ("answers", '{"id": 1, "gold": Infinity, "answers": [1]}', "'Infinity' is not a number"),
    ("answers", '{"id": 1, "gold": 1e999, "answers": [1]}', "not a number that can be used"),
    ("answers", "[1, 2]", "a list, not an object"),
    ("answers", "nonsense", "not JSON"),
    ("esc", {**E, "generated_answer": ["a", 5]}, "generated_answer[1] is not a text"),
    ("esc", {**E, "answer": ["yajo"]}, "'answer' is not a text"),
    ("esc", {"question": "q", "answer": "a"}, "no 'generated_answer'"),
    ("qwen-rm", {**Q, "score": [True]}, "'score' has 1 entries where 2"),
    ("qwen-rm", {**Q, "score": [True, 1]}, "score[1] is neither true nor false"),
    ("qwen-rm", {**Q, "pred_score": [[1, 2], [1]]}, "pred_score[0] holds 2 numbers"),
    ("qwen-rm", {**Q, "pred_score": [["a"], [1]]}, "pred_score[0] is not a number"),
    ("qwen-rm", {**Q, "pred": [None, "7"]}, "pred[0] is not a text"),
    ("tot24", {**T, "infos": [{"r": 1}, {}]}, "infos[1] has no 'r'"),
    ("tot24", {**T, "infos": [{"r": 1}, {"r": 2}]}, "infos[1] has no 'r'"),
    ("tot24", {**T, "infos": [{"r": 1}, 1]}, "infos[1] has no 'r'"),
    ("tot24", {**T, "ys": ["a"]}, "'infos' has 2 entries where 1"),
]


@pytest.mark.parametrize(("name", "row", "says"), BAD, ids=[f"{name}: {says}"[:60] for name, _, says in BAD])
def test_a_bad_row_is_one_line_naming_file_and_line(
    name: str, row: Row | str, says: str, load: Callable[..., Imported], tmp_path: Path
) -> None:
    good = {**ROWS[name], **{key: "first" for key in ("id", "idx") if key in ROWS[name]}}
    with pytest.raises(BadInput) as refused:
        load(name, good, "", row)
    line = str(refused.value)
    assert line.startswith(f"{tmp_path / 'rows.jsonl'}:3: ")
    assert says in line
    assert "\n" not in line
    assert len(line) < 400 + len(str(tmp_path))


answers = st.lists(
    st.none() | st.integers() | st.text(max_size=8) | st.sampled_from(["7", "7.0", "$7"]), min_size=1, max_size=6
)


@given(rows=st.lists(st.tuples(st.none() | st.integers() | st.just("7"), answers), min_size=1, max_size=4))
def test_whatever_answers_come_each_is_one_candidate(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, list[Any]]]
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text(
        "".join(json.dumps({"id": at, "gold": gold, "answers": said}) + "\n" for at, (gold, said) in enumerate(rows))
    )
    draws = arm(find("importer", "answers")(path))
    assert draws.size.tolist() == [len(said) for _, said in rows]
    for at, (gold, said) in enumerate(rows):
        abstains = [answer is None or not str(answer).strip() for answer in said]
        assert (draws.codes[at, : len(said)] < 0).tolist() == abstains
        assert np.isnan(draws.right[at, : len(said)]).all() == (gold is None)
