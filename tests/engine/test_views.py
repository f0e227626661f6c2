"""A run that goes on looks at parts of its journal's lines only: it finds what whole lines would have told it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import plan_of, run

from testtime.core.protocols import Ask
from testtime.core.records import Candidate, Problem, Verdict
from testtime.core.strings import parse
from testtime.engine import state
from testtime.engine.plan import Plan
from testtime.engine.state import State
from testtime.engine.views import views
from testtime.meters.price import Price, Prices
from testtime.models.scripted import ALL, Scripted
from testtime.store.codec import loads
from testtime.store.journal import KINDS, seal

PRICE = Prices({"scripted:1": Price(1.0, 3.0)})
ODD = ("7", "\ud800", 'a "quoted" \\ one', "é\u2028\x00", "9" * 5000)
"""What a model may say: some of it only `json` reads."""


class Long:
    """Right where the answer is short."""

    stage, digest, gold = "long", "1", True

    def refuses(self, problem: Problem) -> str | None:
        return None

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        return Verdict(self.stage, self.digest, len(candidate.text) < 9, float("nan"), 1.0, explanation=candidate.text)


def plan(**how: Any) -> Plan:
    return plan_of(Scripted(lambda request, seed: ODD[seed % 5], can=ALL - {"n"}), due=3, **how)


PLANS: dict[str, Callable[[], Plan]] = {
    "plain": plan,
    "priced": lambda: plan(price=PRICE),
    "judged": lambda: plan(verifiers=[Long()], price=PRICE),
    "live": lambda: plan(verifiers=[Long()], policies=[parse("policy", "adaptive_margin:stop_rule=margin,max_n=5")]),
    "live by a column": lambda: plan(policies=[parse("policy", "best_of_n:by=completion,n=3")]),
}


def told(made: Plan, folder: Path) -> dict[str, Any]:
    """All that a journal says to a plan."""
    shown: list[Any] = []
    found = State.of(
        made, folder, lambda one: shown.append(([row.facts["answer_key"] for row in one.candidates], *one.verdicts))
    )
    account, roster = found.account, found.roster
    pending = {id: (len(one.candidates), *one.verdicts) for id, one in found.pending.items()}
    spent = (account.usd, account.tokens, account.seconds, account.unpriced, account.uncounted)
    return {
        "shown": shown, "spent": spent, "pending": pending, "drawn": dict(found.drawn), "replies": found.replies,
        "tries": found.tries, "orphans": {id: [*said] for id, said in found.orphans.items()}, "lost": found.lost,
        "dropped": found.dropped, "reread": found.reread, "due": roster.due, "told": roster.told,
        "others": roster.others,
    }  # fmt: skip


@pytest.mark.parametrize("kind", PLANS)
@pytest.mark.parametrize("seed", range(6))
def test_a_view_tells_what_whole_lines_tell_however_damaged(
    kind: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, dice = PLANS[kind](), random.Random(seed)
    run(made, tmp_path)
    path = tmp_path / "journal/main.jsonl"
    lines = [
        line for line in path.read_bytes().split(b"\n") if dice.random() < 0.8 for _ in range(dice.choice((1, 1, 2)))
    ]
    lines = [line[: dice.randrange(len(line))] if line and dice.random() < 0.05 else line for line in lines]
    path.write_bytes(b"\n".join(lines if seed % 2 else dice.sample(lines, len(lines))))
    for asked in (made, replace(made, parser="another"), replace(made, policies=(), verifiers=[Long()])):
        found = told(asked, tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(state, "views", lambda plan: {"sent": lambda line: {**loads(line), "line": line}})
            assert found == told(asked, tmp_path)


def test_a_request_whose_line_is_there_in_two_sessions_is_not_lost_once_it_is_answered(tmp_path: Path) -> None:
    run(plan(), tmp_path)
    path = tmp_path / "journal/main.jsonl"
    opening, *rest = path.read_bytes().rstrip(b"\n").split(b"\n")
    sent = [line for line in rest if b'"kind":"sent"' in line]
    path.write_bytes(b"\n".join([opening, *sent, opening, *rest, b""]))
    found = State.of(plan(), tmp_path, lambda one: None)
    assert (found.lost, found.tries, found.roster.sessions) == ({}, {}, 2)


texts = st.text(st.characters())
numbers = st.integers(-(2**70), 2**70) | st.floats() | st.none()


@given(
    st.sampled_from(sorted(KINDS)),
    texts,
    st.dictionaries(texts | st.sampled_from(["key", "at", "ended"]), texts | numbers),
)
def test_what_a_view_shows_is_what_the_line_says(kind: Any, id: str, fields: dict[str, Any]) -> None:
    fields = {name: value for name, value in fields.items() if name not in ("id", "kind", "v", "sum", "line")}
    line = seal(kind, id, fields).rstrip(b"\n")
    whole = loads(line)
    for view in (view for of, view in views(plan()).items() if of == kind):
        shown = view(line)
        assert (shown["id"], shown["kind"]) == (id, kind)
        assert all(whole[name] == value or value != value for name, value in shown.items() if name != "line")  # or nan
