"""Proves how a candidate is said to decline: by signs, a persona's phrases left out, by the provider's own mark, and by
a model only where the signs are unsure, for so many texts as are allowed, each once, counted as calls; and that marks
of a persona are counted where a persona has a place, and its score is read or null.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import pytest

from testtime.answers.persona import Marks
from testtime.core.errors import BadInput, ModelError
from testtime.core.records import Candidate, Completion, Finish, Generation, Part, Problem, Request
from testtime.core.spend import Spend
from testtime.lanes import marks_of
from testtime.tasks.gsm8k import Gsm8k
from testtime.verifiers.asking import Asking
from testtime.verifiers.persona import Persona
from testtime.verifiers.refusal import Refusal

TASK, PROBLEM = Gsm8k("none"), Problem("q", "test", "How many?", "18")
UNSURE = "I'm an AI language model. Here we are."


class Model:
    """`Ask` that says one thing and remembers what it was asked."""

    def __init__(self, says: Any) -> None:
        self.says, self.requests = says, list[Request]()

    async def generate(self, role: str, request: Request) -> Generation:
        assert role == "judge"
        self.requests.append(request)
        call = f"call {len(self.requests)}"
        await asyncio.sleep(0)
        if isinstance(self.says, ModelError):
            raise self.says
        return Generation([Completion(self.says, "stop")], Spend(), "j:1", calls=(call,))


def candidate(text: str, finish: Finish = "stop", idx: int = 0) -> Candidate:
    return Candidate("plain", "q", idx, [Part("answer", text)], finish)


def said(stage: Any, text: str, ask: Any = None, finish: Finish = "stop") -> Any:
    return asyncio.run(stage.verify(PROBLEM, candidate(text, finish), cast(Any, ask)))


def declines(value: Any, kind: str | None = "safety", confidence: Any = 0.9) -> str:
    return json.dumps({"reasoning": "r", "is_refusal": value, "refusal_type": kind, "confidence": confidence})


def test_signs_say_it_with_type_and_names() -> None:
    one = said(Refusal(TASK), "I'm sorry, but I can't help with that.")
    assert (one.value, one.gold, one.method) == (True, False, "signs")
    assert one.columns["refusal_type"] == "safety"
    assert "cannot do" in json.loads(one.columns["refusal_matched_patterns"])
    other = said(Refusal(TASK), "It is 18.")
    assert (other.value, other.columns["refusal_type"], other.columns["refusal_matched_patterns"]) == (
        False,
        None,
        "[]",
    )


def test_what_the_provider_says_comes_first() -> None:
    one = said(Refusal(TASK), "", finish="refusal")
    assert (one.value, one.confidence, one.columns["refusal_type"]) == (True, 1.0, "safety")
    assert said(Refusal(TASK), "half a text", finish="filter").value is None


def test_thinking_and_the_json_of_steps_are_not_what_is_said() -> None:
    thought = Candidate("plain", "q", 0, [Part("thinking", "I can't help with this."), Part("answer", "18")], "stop")
    assert asyncio.run(Refusal(TASK).verify(PROBLEM, thought, cast(Any, None))).value is False
    steps = {"steps": [{"explanation": "I cannot help with that.", "output": ""}], "final_answer": "none"}
    assert said(Refusal(TASK), json.dumps(steps)).value is True


def test_a_model_is_asked_only_where_the_signs_are_unsure() -> None:
    ask = Model(declines(True, "capability"))
    stage = Refusal(TASK, asking=Asking(most=5))
    assert said(stage, "I'm sorry, but I can't help with that.", ask).calls == ()
    assert said(stage, "It is 18.", ask).value is False
    assert not ask.requests
    one = said(stage, UNSURE, ask)
    assert (one.value, one.columns["refusal_type"], one.method, one.calls) == (True, "capability", "model", ("call 1",))
    assert one.columns["refusal_asked"] == 1.0
    assert UNSURE in ask.requests[0].messages[0]["content"]
    assert ask.requests[0].params["schema"]["required"]


def test_the_budget_counts_texts_and_equal_ones_once() -> None:
    ask, stage = Model(declines(True)), Refusal(TASK, asking=Asking(most=2))
    texts = [UNSURE, UNSURE, f"{UNSURE} Two.", f"{UNSURE} Three."]

    async def work() -> list[Any]:
        several = [candidate(text, idx=idx) for idx, text in enumerate(texts)]
        return await asyncio.gather(*[stage.verify(PROBLEM, one, cast(Any, ask)) for one in several])

    found = asyncio.run(work())
    assert len(ask.requests) == 2
    assert [one.method for one in found] == ["model", "model", "model", "signs"]
    assert [one.calls for one in found] == [("call 1",), (), ("call 2",), ()]


@pytest.mark.parametrize("reply", ["no", declines("yes"), ModelError("overloaded")])
def test_a_model_that_cannot_be_asked_or_read_leaves_the_signs(reply: Any) -> None:
    assert said(Refusal(TASK, asking=Asking(most=1)), UNSURE, Model(reply)).method == "signs"


def test_what_was_kept_is_not_asked_again() -> None:
    kept: dict[str, Any] = {}
    first, again, other = Model(declines(True)), Model(declines(False)), Model(declines(False))
    assert said(Refusal(TASK, asking=Asking(model="a", kept=kept, most=5)), UNSURE, first).value is True
    assert said(Refusal(TASK, asking=Asking(model="a", kept=kept, most=5)), UNSURE, again).value is True
    assert not again.requests
    assert said(Refusal(TASK, asking=Asking(model="b", kept=kept, most=5)), UNSURE, other).value is False


def test_another_budget_or_other_phrases_are_another_verdict() -> None:
    stages = [Refusal(TASK), Refusal(TASK, ("x",)), *(Refusal(TASK, asking=Asking(most=n)) for n in (1, 2))]
    assert len({stage.digest for stage in stages}) == 4


MARKS = Marks({"wonder": "fascinating", "self": r"\bandroid\b"}, {"contractions": r"\b\w+n't\b"})


def test_marks_are_counted_outside_code_and_boxes() -> None:
    one = said(Persona(TASK, "p", MARKS), "Fascinating, fascinating. Isn't it? It isn't.")
    assert (one.columns["persona_markers"], one.columns["persona_constraint_violations"]) == (1, 2)
    assert (one.value, one.score) == (None, None)
    bare = said(Persona(TASK, "p", MARKS), "```\nandroid # don't\n``` `isn't` \\boxed{android}")
    assert (bare.columns["persona_markers"], bare.columns["persona_constraint_violations"]) == (0, 0)


@pytest.mark.parametrize(("score", "read"), [(4, 4.0), (2.5, 2.5), (7, None), ("5", None), (True, None), (None, None)])
def test_a_score_is_from_0_to_5_or_null(score: Any, read: float | None) -> None:
    ask = Model(json.dumps({"reasoning": "gloomy", "score": score, "confidence": 0.8}))
    one = said(Persona(TASK, "p", MARKS, Asking()), "Fascinating.", ask)
    assert one.score == read
    assert one.columns["persona_markers"] == 1
    assert (one.columns.get("persona_judge_model") == "j:1") == (read is not None)
    assert one.calls == ("call 1",)


def test_marks_stand_beside_the_persona(tmp_path: Path) -> None:
    file = tmp_path / "cat.txt"
    file.write_text("You are a cat.")
    assert marks_of(str(file)) is None
    assert marks_of("You are a cat.") is None
    file.with_suffix(".yaml").write_text("markers: {purr: 'p+urr'}\nnot_refusals: [I can't be bothered]\n")
    assert marks_of(str(file)) == Marks({"purr": "p+urr"}, {}, ("I can't be bothered",))


@pytest.mark.parametrize(
    ("text", "told"),
    [("markers: [a]", "markers cannot be read"), ("marks: {a: b}", "marks is no part"), ("markers: {a: '('}", "no pat"),
     ("not_refusals: {a: b}", "not_refusals cannot be read"), ("markers: {a: 1}", "markers cannot be read")],
)  # fmt: skip
def test_marks_that_cannot_be_used_are_named(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "cat.txt").write_text("You are a cat.")
    (tmp_path / "cat.yaml").write_text(text)
    with pytest.raises(BadInput, match=told):
        marks_of(str(tmp_path / "cat.txt"))
