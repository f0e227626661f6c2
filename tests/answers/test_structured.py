"""A structured text is its steps and its final answer, from which the task reads; any other text is read as it is."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from testtime.answers.structured import SCHEMA, final_answer, parts
from testtime.core.records import Candidate, Part
from testtime.store.messages import output_messages

texts = st.text(max_size=20)


@given(st.lists(st.fixed_dictionaries({"explanation": texts, "output": texts}), min_size=1), texts)
def test_what_the_schema_asks_for_is_read_back(steps: list[dict[str, str]], answer: str) -> None:
    text = json.dumps({"steps": steps, "final_answer": answer})
    assert parts(text) == (steps, answer)
    assert final_answer(text) == answer
    messages = output_messages(Candidate("a", "q", 0, [Part("answer", text)], "stop"))
    assert [one["channel"] for one in messages] == ["reasoning"] * len(steps) + ["final"]
    assert [json.loads(one["content"])["step"] for one in messages[:-1]] == list(range(1, len(steps) + 1))


@given(
    st.text() | st.sampled_from(["[]", "{}", '{"final_answer": 3}', "[" * 9_999, '{"steps": 1, "final_answer": "x"}'])
)
def test_any_other_text_is_the_answers_own(text: str) -> None:
    if parts(text) is None:
        assert final_answer(text) == text


def test_the_schema_holds_the_model_to_both() -> None:
    assert SCHEMA["required"] == ["steps", "final_answer"]
    assert SCHEMA["properties"]["steps"]["minItems"] == 1


def test_messages_of_a_tool_conversation_and_of_thinking() -> None:
    kinds = [("thinking", "hm"), ("call", "{}"), ("result", "4"), ("base", "it "), ("oracle", "is 4")]
    made = output_messages(Candidate("a", "q", 0, [Part(kind, text) for kind, text in kinds], "stop"))  # type: ignore[arg-type]
    assert [(one["role"], one["channel"], one["content"]) for one in made] == [
        ("assistant", "reasoning", "hm"),
        ("assistant", "tool_call", "{}"),
        ("tool", "tool_result", "4"),
        ("assistant", "final", "it is 4"),
    ]
    assert output_messages(Candidate("a", "q", 0, (), "error", error="lost")) == []
