"""A tool's definition is read from every usual form and broken ones; whether a value obeys a schema is said as an
independent validator says it.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testtime.core.definitions import definition, disobeys, normal
from testtime.core.errors import ToolError

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.mark.parametrize(
    "raw",
    [
        {"type": "function", "function": {"name": "w", "description": "d", "parameters": CITY}},
        {"name": "w", "description": "d", "input_schema": CITY},
        {"name": "w", "description": "d", "parameters": {**CITY, "type": "dict"}},
        {"name": "w", "description": "d", "parameters": {**CITY, "properties": {"city": {"type": "str"}}}},
    ],
)
def test_every_usual_form_is_one_definition(raw: dict[str, Any]) -> None:
    made = definition(raw)
    assert (made.name, made.about, made.parameters) == ("w", "d", CITY)
    assert made.wire["function"]["parameters"] == CITY
    assert definition(made.plain) == definition(made.wire) == made


def test_names_of_parameters_alone_are_parameters() -> None:
    made = definition({"name": "w", "parameters": {"city": {"type": "str, optional"}, "type": {"type": "List[str]"}}})
    assert made.parameters["properties"] == {"city": {"type": "string"}, "type": {"type": "array"}}


def test_what_it_gives_is_read_and_never_sent() -> None:
    made = definition({"name": "w", "returns": {"type": "dict", "properties": {"t": {"type": "float"}}}})
    assert made.returns == {"type": "object", "properties": {"t": {"type": "number"}}}
    assert "returns" not in str(made.wire)


@pytest.mark.parametrize("raw", [None, 3, "w", [], {}, {"name": ""}, {"name": 3}, {"function": 3}, {"function": {}}])
def test_what_is_no_definition_is_said_to_be_none(raw: Any) -> None:
    with pytest.raises(ToolError, match="defined without a name"):
        definition(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])
SCHEMA = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, min_size=1, max_size=2, unique=True), "minimum": st.integers(-5, 5),
            "exclusiveMaximum": st.integers(-5, 5), "minLength": st.integers(0, 3), "maxItems": st.integers(0, 2),
            "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
            "enum": st.lists(st.integers(0, 3) | st.booleans() | st.text(max_size=2), min_size=1, max_size=3),
        },
    ),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=2), "items": inner,
            "additionalProperties": st.just(False) | inner, "anyOf": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=2), "type": TYPES,
        },
    ),
    max_leaves=5,
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(SCHEMA, JSON)
def test_it_agrees_with_an_independent_validator(schema: dict[str, Any], value: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    valid = jsonschema.Draft202012Validator(schema).is_valid(value)
    assert (disobeys(value, schema) is None) == valid, (schema, value, disobeys(value, schema))


@given(JSON, JSON)
def test_no_schema_however_odd_breaks_it(schema: Any, value: Any) -> None:
    said = disobeys(value, normal(schema))
    assert said is None or isinstance(said, str)


def test_a_schema_without_end_is_followed_so_far() -> None:
    schema: dict[str, Any] = {"type": "object"}
    value: dict[str, Any] = {}
    for _ in range(5000):
        schema, value = {"properties": {"a": schema}}, {"a": value}
    assert disobeys(value, normal(schema)) is None
