"""The page says what the pool says and nothing else: its numbers are those of the other commands, sections appear with
their data, a sample is of every kind and said to be one, and no text of a model, a file or a run is markup or script.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import hostile_pool
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import testtime as tt
from testtime.cli import main
from testtime.core.errors import BadInput
from testtime.report import candidates, sample
from testtime.report.blocks import safe
from testtime.report.page import SCRIPTS, embedded
from testtime.report.sections.policies import unbeaten
from testtime.reporting import write_report

ANSWERS = [
    {"id": f"q{at}", "gold": 1, "answers": [1, 1, at % 3, 1, at % 2, 1], "tokens": [10, 12, 9, 11, 14, 10]}
    for at in range(12)
]  # fmt: skip


PARSES = r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|createContextual|fetch\(|import\("


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ANSWERS))
    return file


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page about a run whose every text is an attack."""
    folder = hostile_pool.write(tmp_path_factory.mktemp("hostile"))
    return write_report(folder).path.read_text(encoding="utf-8")


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the texts of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self._in = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._in = tag
        if tag in self.inside:
            self.inside[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in in self.inside:
            self.inside[self._in][-1] += data
        else:
            self.text += data


def sections(page: str) -> list[str]:
    return re.findall(r'<section id="([^"]+)"', page)


# ---- nothing that a model wrote is markup or script ----
@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_embedded_json_holds_any_text_and_cannot_end_its_element(text: str) -> None:
    shown = embedded({text: [text]})
    assert json.loads(shown) == {text: [text]}
    assert shown.isascii()
    assert not set("<>&\x00") & set(shown)


@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_text_in_html_is_text_and_cannot_turn_what_stands_around_it(text: str) -> None:
    shown = safe(text)
    shown.encode("utf-8")
    assert not set("<>\"'") & set(shown)
    assert not re.search("[\x00-\x08\u2028-\u202e\u2066-\u2069]", shown)


def test_a_hostile_run_adds_no_element_and_no_script(hostile: str) -> None:
    page = Elements(hostile)
    names = {name for name, _ in page.found}
    assert not names & {"img", "iframe", "object", "embed", "link", "form", "base", "b", "i", "svg"}
    assert len(page.inside["script"]) == 2
    assert len(page.inside["style"]) == 1
    events = [key for _, attributes in page.found for key in attributes if key.startswith("on") or key == "style"]
    assert not events
    assert "window.broken = 7" in page.text, "it is there, as text"


def test_only_the_page_s_own_script_and_style_may_run_and_nothing_is_fetched(hostile: str) -> None:
    page = Elements(hostile)
    policy = next(a["content"] for name, a in page.found if a.get("http-equiv") == "Content-Security-Policy") or ""
    data, script = page.inside["script"]
    for kind, text in (("script", script), ("style", page.inside["style"][0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert not [
        a for name, a in page.found if "src" in a or (name == "a" and not (a.get("href") or "").startswith("#"))
    ]
    assert "url(" not in page.inside["style"][0]
    assert json.loads(data)["pools"][0]["problems"]


def test_scripts_make_text_of_data_and_parse_no_html() -> None:
    for name in SCRIPTS:
        text = (files("testtime.report") / "assets" / name).read_text(encoding="utf-8")
        assert not re.search(PARSES, text)


def test_the_page_is_small_before_its_data(hostile: str) -> None:
    data = Elements(hostile).inside["script"][0]
    assert len(hostile.encode()) - len(data) < 300_000


def test_a_giant_text_is_cut_and_said_to_be(hostile: str) -> None:
    problems = json.loads(Elements(hostile).inside["script"][0])["pools"][0]["problems"]
    giant = next(one for one in problems if one["id"].startswith("q11"))
    text = giant["candidates"][0]["pieces"][0][2]
    assert len(text) < candidates.MOST_TEXT + 60
    assert text.endswith("288,000 characters more are cut")


def test_a_prompt_that_arms_share_is_there_once() -> None:
    facts = {"query_id": "q", "split": "", "state": "all right", "apart": False, "refused": False, "failed": False}
    said = {arm: json.dumps([{"role": "user", "content": text}]) for arm, text in (("a", "x"), ("b", "x"), ("c", "y"))}
    made = candidates.problem(facts, [({"arm": arm, "input_messages": text}, ()) for arm, text in said.items()])
    assert made["prompts"] == [[["a", "b"], [["user", "x"]]], [["c"], [["user", "y"]]]]


# ---- it says what the pool says ----
def test_numbers_are_those_of_the_table(answers: Path) -> None:
    policies = ["sc_fixed:n=1", "sc_fixed:n=4", "adaptive_margin:stop_rule=beta,threshold=0.9,max_n=6"]
    page = write_report(answers, policies=policies).path.read_text(encoding="utf-8")
    text = Elements(page).text
    for row in tt.load(answers).replay(policies).to_polars().iter_rows(named=True):
        low, high = 100 * row["accuracy_low"], 100 * row["accuracy_high"]
        assert f"{100 * row['accuracy']:.1f} [{low:.1f},\u00a0{high:.1f}]" in text


def test_the_answer_names_a_policy_its_budget_and_its_certainty(answers: Path) -> None:
    page = write_report(answers, budgets=["30tok/q"]).path.read_text(encoding="utf-8")
    text = " ".join(Elements(page).text.split())
    assert re.search(r"with at most 30 generated tokens a question: (use|take) \S+", text)
    assert "nested cross-validation" in text
    assert "95 % interval" in text


def test_the_answer_promises_nothing_where_nothing_is_right_or_little_is_known(tmp_path: Path) -> None:
    pool = tmp_path / "wrong.jsonl"
    rows = [{"id": f"q{at}", "gold": 1, "answers": [2, 3, 3, 2], "tokens": [5, 5, 5, 5]} for at in range(4)]
    pool.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    text = " ".join(Elements(write_report(pool).path.read_text(encoding="utf-8")).text.split())
    assert "no policy gives a right answer within" in text
    assert "points wide: draw more problems before choosing by it" in text
    assert "generated tokens a question: take" not in text


def test_of_two_settings_alike_the_one_named_first_is_unbeaten() -> None:
    rows = pl.DataFrame({"gen_tokens": [131.0, 131.0 - 1e-13, 90.0], "accuracy": [0.9, 0.9, 0.8]})
    assert unbeaten(rows) == {0, 2}


def test_sections_appear_when_their_data_do(answers: Path, hostile: str, tmp_path: Path) -> None:
    plain = sections(write_report(answers).path.read_text(encoding="utf-8"))
    assert plain == [
        "answer",
        "frontier",
        "policies",
        "best-of-n",
        "verdicts",
        "compute",
        "conditions",
        "caveats",
        "browser",
    ]
    assert "spend" not in sections(hostile), "no ledger was kept"
    unknown = tmp_path / "unknown.jsonl"
    unknown.write_text(
        "".join(json.dumps({"id": f"q{n}", "gold": None, "answers": [1, 2, 2]}) + "\n" for n in range(4))
    )
    assert sections(write_report(unknown).path.read_text(encoding="utf-8")) == [
        "answer",
        "conditions",
        "caveats",
        "browser",
    ]


def test_several_runs_overlay_and_are_paired(answers: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text("".join(json.dumps({**row, "answers": [0, 1, 0, 1, 1, 1]}) + "\n" for row in ANSWERS))
    written = write_report([answers, other], tmp_path / "both.html")
    page = Elements(written.path.read_text(encoding="utf-8"))
    chart = json.loads(page.inside["script"][0])["charts"]["frontier"]
    assert len(chart["groups"]["names"]) == 2
    assert {one["group"] for one in chart["series"]} == {0, 1}
    assert "runs" in written.sections
    assert re.search(r"a question: take (answers|other) and ", page.text), "the runs have one model, or none"
    assert re.search(r"(answers|other): (sc_fixed|adaptive_margin|bayes)", page.text)
    assert "12 common problems" in page.text


def test_a_splitless_pool_has_no_switch_of_splits(answers: Path, hostile: str) -> None:
    page = write_report(answers).path.read_text(encoding="utf-8")
    charts = [json.loads(Elements(one).inside["script"][0])["charts"]["frontier"] for one in (page, hostile)]
    assert [one["views"]["names"] for one in charts] == [[], ["all", "even", "odd"]]


def test_a_page_made_twice_is_the_same_but_for_its_date(answers: Path) -> None:
    pages = [write_report(answers).path.read_text(encoding="utf-8") for _ in range(2)]
    first, second = (re.sub(r"20\d\d-\d\d-\d\dT[0-9:+]+", "", page) for page in pages)
    assert first == second


# ---- the sample ----
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(sample.STATES)), min_size=1, max_size=60),
    st.integers(0, 40),
)
def test_a_sample_has_every_stratum_and_counts_what_it_leaves_out(kinds: list[tuple[str, str]], most: int) -> None:
    frame = pl.DataFrame(
        {
            "query_id": [f"q{at}" for at in range(len(kinds))],
            "split": [s for s, _ in kinds],
            "state": [s for _, s in kinds],
        }
    )
    names, strata = sample.chosen(frame, most)
    assert len(names) == len(set(names)) == min(most, len(kinds)) == sum(count for _, count, _ in strata)
    assert sum(there for _, _, there in strata) == len(kinds)
    if most >= len(strata):
        assert all(count for _, count, _ in strata)
    assert sample.chosen(frame, most) == (names, strata)


def test_facts_of_problems_count_failures_as_not_right_and_leave_retries_out() -> None:
    frame = pl.DataFrame({
        "query_id": ["a", "a", "b", "b", "c"], "is_verified": [True, True, True, None, None],
        "answer_key": ["1", "1", "1", None, "2"], "error": [None, None, None, "boom", None],
        "is_retry": [False, True, False, False, False],
    })  # fmt: skip
    found = sample.facts(frame).select("query_id", "state", "apart", "failed").rows()
    assert found == [
        ("a", "all right", False, False),
        ("b", "some right", False, True),
        ("c", "no verdict", False, False),
    ]


def test_a_big_pool_says_how_to_see_the_other_problems(answers: Path) -> None:
    written = write_report(answers, sample=3)
    page = Elements(written.path.read_text(encoding="utf-8"))
    assert written.problems == 3
    assert "3 of 12 problems" in page.text
    assert f"testtime show {answers} QUERY_ID" in page.text


# ---- what a user can mend ----
def test_what_cannot_be_is_said_in_a_line(answers: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="budget"):
        write_report(answers, budgets=["cheap"])
    with pytest.raises(BadInput, match="--sample"):
        write_report(answers, sample=-1)
    with pytest.raises(BadInput, match="no such file"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(BadInput):
        write_report(answers, answers)
    assert json.loads(answers.read_text().splitlines()[0]) == ANSWERS[0], "the pool is not written over"


def test_a_packed_run_is_named_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = {"dataset": "pocket-math", "model": "pocket-s", "splits": "easy", "max_queries": 4, "num_candidates": 2}
    tt.run({**spec, "policies": ["sc_fixed:n=2"], "out_dir": "runs", "run": "small"})
    assert main(["pack", "runs/small", "--out", "small.zip"]) == 0
    written = write_report("small.zip")
    page = written.path.read_text(encoding="utf-8")
    assert written.path == Path("small.report.html")
    assert '"place":"small.zip"' in page
    assert "testtime report small.zip --out small.report.html" in page
    assert "spend" in written.sections
    assert str(tmp_path) not in page


@pytest.mark.parametrize("problems", [1, 2, 3])
def test_the_smallest_pools_have_a_page(problems: int, tmp_path: Path) -> None:
    file = tmp_path / "few.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ANSWERS[:problems]))
    page = Elements(write_report(file).path.read_text(encoding="utf-8"))
    assert f"n = {problems} problems" in page.text


def test_what_a_pool_cannot_score_is_left_out_and_named(answers: Path) -> None:
    written = write_report(answers, policies=["sc_fixed:n=2", "best_of_n:n=2,by=reward", "sc_fixed:n=64"])
    text = Elements(written.path.read_text(encoding="utf-8")).text
    assert (
        "not scored, as the pool lacks draws, columns or problems they need: best_of_n:n=2,by=reward, sc_fixed:n=64"
        in text
    )
    assert written.settings == 1


def test_the_command_says_what_it_wrote(answers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(answers), "--policies", "sc_fixed:n=2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert Path(told["path"]).stat().st_size == told["size"]
    assert told["problems"] == 12
    assert main(["report", str(answers), "--policies", "sc_fixed:n=2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("wrote ")
    assert out.rstrip().split("\n")[-1].startswith("next: testtime ")
