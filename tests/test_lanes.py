"""Every decoding asked for is drawn side by side in one pool, under a label that says it; each role gets the model that
the spec names, or is refused by the flag that would name it; a persona is the system's message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

import fake_model
import testtime as tt
from testtime import decoding
from testtime.build import plan_of, resolve
from testtime.core.errors import BadInput, Refused
from testtime.core.protocols import Ask, Cap
from testtime.core.records import Candidate, Map, Problem, Request
from testtime.core.settings import check, setting, settings_of
from testtime.decoding.plain import Plain
from testtime.lanes import persona_of
from testtime.models import BUILTIN
from testtime.runspec import RunSpec, run_spec


@dataclass(frozen=True)
class Twice:
    """Asks an oracle, as often as it is told, and keeps the last word."""

    sampling: Map = field(default_factory=dict)
    times: int = setting("how often", 1, least=1)
    marks: tuple[int, ...] = setting("where", (3,))

    name: ClassVar[str] = "twice"
    roles: ClassVar[Mapping[str, frozenset[Cap]]] = {"base": frozenset(), "oracle": frozenset()}
    calls: ClassVar[int | None] = None
    notes: ClassVar[frozenset[str]] = frozenset({"asked"})

    def __post_init__(self) -> None:
        check(self)

    @property
    def settings(self) -> Sequence[Map]:
        return (settings_of(self),)

    def probes(self, messages: Sequence[Map]) -> Sequence[tuple[str, Request]]:
        return [(role, Request(messages, params=self.sampling)) for role in self.roles]

    async def draw(self, problem: Problem, messages: Sequence[Map], idx: int, ask: Ask) -> Sequence[Candidate]:
        made = await Plain(self.sampling).draw(problem, messages, idx, _As(ask, "base"))
        for _ in range(self.times):
            made = await Plain(self.sampling).draw(problem, messages, idx, _As(ask, "oracle"))
        return [replace(one, facts={"asked": self.times}) for one in made]


@dataclass(frozen=True)
class _As:
    """An `Ask` whose model is that of a role."""

    ask: Ask
    role: str

    @property
    def arms(self) -> Any:
        return self.ask.arms

    async def generate(self, role: str, request: Request) -> Any:
        return await self.ask.generate(self.role, request)


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILTIN, "fake", fake_model.PLACE)
    monkeypatch.setitem(decoding.BUILTIN, "twice", "test_lanes:Twice")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return fake_model.sums(tmp_path / "sums.jsonl", 4)


def spec(data: Path, **more: Any) -> RunSpec:
    return resolve(run_spec({"model": "fake:n", "dataset": "gsm8k", "dataset_path": data, **more}))


def test_several_decodings_and_several_values_of_a_setting_are_lanes_and_several_at_once_are_one(data: Path) -> None:
    asked = {"decoding": ["plain", "twice"], "times": [1, 2], "marks": [5, 6], "oracle_model": "fake:big"}
    plan = plan_of(spec(data, **asked), "r")
    labels = [arm.label for lane in plan.lanes for arm in lane.arms]
    assert labels == ["plain", "twice:marks=(5,6)", "twice:times=2,marks=(5,6)"]
    big = plan.lanes[2].arms[0]
    assert big.models == {"base": "fake:n", "oracle": "fake:big"}
    assert big.decoding == {"kind": "twice", "times": 2, "marks": (5, 6)}
    assert set(plan.models) == {"fake:n", "fake:big"}


def test_a_role_without_a_model_is_refused_by_its_flag(data: Path) -> None:
    with pytest.raises(Refused, match="decoding twice needs a model for the role 'oracle'; add --oracle_model"):
        plan_of(spec(data, decoding="twice"), "r")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"decoding": "twic"}, "unknown decoding 'twic'; did you mean twice"),
        ({"decoding": "plain", "times": 3}, "times is a setting of no selected .*decoding.*; it belongs to twice"),
        ({"decoding": "twice", "times": 0}, "decoding twice:times=0: times=0 cannot be; expected a whole number"),
        ({"decoding": "twice", "marks": "a"}, "marks=a cannot be; expected a whole number"),
    ],
)
def test_a_decoding_that_cannot_be_is_one_line(data: Path, more: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        spec(data, **more)
    assert "\n" not in str(caught.value)


def test_a_folder_grows_by_a_decoding_and_every_policy_is_scored_on_each(data: Path, tmp_path: Path) -> None:
    same: dict[str, Any] = {"model": "fake:n", "oracle_model": "fake:big", "dataset": "gsm8k", "dataset_path": data}
    same |= {"policies": "sc_fixed:n=2", "out_dir": tmp_path / "runs"}
    first = tt.run(same)
    both = tt.run(same, decoding="twice", times=[1, 2])
    assert both.path == first.path
    rows = pl.read_parquet(both.path / "candidates.parquet")
    assert dict(rows["arm"].value_counts().rows()) == {"plain": 8, "twice": 8, "twice:times=2": 8}
    assert (both.drawn.progress.due, both.drawn.progress.kept) == (16, 0), "plain was not asked for again"
    assert both.drawn.spec.decoding == ("plain", "twice", "twice:times=2")
    plan_of(spec(data, decoding="twice", oracle_model="fake:n", policies="best_of_n:n=2,by=asked"), "r")
    with pytest.raises(Refused, match="no column 'asked'"):
        plan_of(spec(data, policies="best_of_n:n=2,by=asked"), "r")


def test_a_persona_is_the_systems_message_and_another_arm(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "marvin.txt"
    file.write_text("You are gloomy.\n")
    for given in (file, "You are gloomy."):
        plan = plan_of(spec(data, persona=str(given)), "r")
        system, user = plan.lanes[0].messages(plan.problems[0])
        assert system == {"role": "system", "content": "You are gloomy."}
        assert user["role"] == "user"
        assert plan.lanes[0].arms[0].persona == "You are gloomy."
    assert plan.lanes[0].arms[0].id != plan_of(spec(data), "r").lanes[0].arms[0].id
    (tmp_path / "empty.txt").touch()
    for path, why in ((tmp_path, "cannot be read"), (tmp_path / "empty.txt", "is empty"), ("personas/x", "cannot be")):
        with pytest.raises(BadInput, match=f"{path}: the persona {why}"):
            persona_of(str(path))
    assert persona_of("") == ""


CLAUDE = "anthropic:claude-sonnet-4-5"
GEMINI = {"model": "gemini:gemini-2.5-flash", "dataset": "pocket-math", "splits": ["easy"], "max_queries": 1}


def test_a_budget_is_the_providers_own_where_a_model_thinks_and_goes_on_from_no_text() -> None:
    plan = plan_of(resolve(run_spec({**GEMINI, "decoding": "budget", "budgets": [512, 1024]})), "r")
    assert [lane.arms[0].label for lane in plan.lanes] == ["budget", "budget:budget=1024"]
    assert [lane.arms[0].decoding for lane in plan.lanes] == [
        {"kind": "native_budget", "budget": budget} for budget in (512, 1024)
    ]
    (_, request), *_ = plan.lanes[1].decoding.probes([])
    assert request.params["thinking"] == {"tokens": 1024}
    bounded = plan_of(resolve(run_spec({**GEMINI, "decoding": "budget", "final_answer_budget": 40})), "r").lanes[0]
    assert bounded.arms[0].sampling["max_tokens"] == 40


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"decoding": "budget", "force_continue": "wait"}, "no text, which force_continue needs; its own"),
        ({"decoding": "prefix"}, "goes on from no text, which prefix needs; its own thinking budget is"),
        ({"model": "openai:gpt-5", "decoding": "budget"}, "takes thinking as effort.* native_budget --effort low"),
        (
            {"model": "anthropic:claude-sonnet-4-5", "decoding": "budget", "budgets": 1024},
            "its own temperature.*; add --temperature 1",
        ),
        (
            {"model": "anthropic:claude-opus-4-7", "decoding": "budget", "budgets": 1024, "temperature": 1, "top_p": 1},
            "takes no number of thinking tokens.*; use --decoding native_budget --effort low or medium",
        ),
        ({"model": "openai:gpt-4o", "decoding": "budget"}, "openai:gpt-4o cannot do continuation"),
        ({"model": "sglang:m", "decoding": "budget"}, "no probability of an answer; add --score none"),
    ],
)
def test_a_budget_that_no_model_can_be_held_to_is_refused_with_the_mend(more: dict[str, Any], says: str) -> None:
    with pytest.raises(Refused, match=says):
        plan_of(resolve(run_spec({**GEMINI, **more})), "r")
