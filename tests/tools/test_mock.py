"""Tools are played from data: over a hundred by name, each result the one on record, the same for the same tool,
arguments and seed, saying again what was given, and such as the tool declares; what would have to be reckoned is
never made up with confidence.

    python tests/tools/test_mock.py > tests/tools/golden.jsonl      # the record, made anew
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testtime.core.definitions import Definition, definition, disobeys
from testtime.core.errors import ToolError
from testtime.tools.catalogue import Entry, catalogue
from testtime.tools.mock import CERTAIN_FROM, RECKONS, like, mock
from testtime.tools.values import Values

GOLDEN = Path(__file__).with_name("golden.jsonl")
SEED = 7
GIVEN: dict[str, dict[str, Any]] = {
    "calculate": {"expression": "(2 + 3) * 4 ^ 2 / 10"},
    "convert_units": {"value": 26.2, "from_unit": "miles", "to_unit": "km"},
    "get_time": {"timezone": "Asia/Tokyo"},
    "convert_time": {"datetime": "2026-07-01T09:00", "from_timezone": "Europe/Lisbon", "to_timezone": "Asia/Tokyo"},
    "days_between": {"start_date": "2024-02-28", "end_date": "2024-03-01"},
    "add_days": {"date": "2025-12-30", "days": 3},
    "day_of_week": {"date": "2026-11-25"},
    "get_exchange_rate": {"from_currency": "USD", "to_currency": "EUR"},
    "convert_currency": {"amount": 250, "from_currency": "EUR", "to_currency": "JPY"},
    "calculate_loan_payment": {"principal_amount": 200000, "annual_rate_percent": 6, "years_count": 30},
    "calculate_compound_interest": {"principal_amount": 1000, "annual_rate_percent": 5, "years_count": 10},
    "calculate_bmi": {"weight_kg_amount": 70, "height_m": 1.75},
    "calculate_percentage": {"value": 80, "percent": 15},
    "calculate_tip": {"bill_amount": 84.5, "tip_percent": 20, "people_count": 2},
}
"""Arguments of the tools whose results are computed; those of the others are made up like results."""
LINES = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()] if GOLDEN.exists() else []


def example(entry: Entry) -> dict[str, Any]:
    made = GIVEN.get(entry.name) or Values(("example", entry.name)).of(entry.parameters)
    return {name: value for name, value in made.items() if name in entry.parameters["properties"]}


def record() -> list[dict[str, Any]]:
    lines = []
    for name in catalogue().names:
        entry = catalogue().entries[name]
        made = mock(entry.definition, example(entry), SEED)
        lines.append({"tool": name, "domain": entry.domain, "arguments": example(entry), "seed": SEED,
                      "confidence": made.confidence, "result": made.result})  # fmt: skip
    return lines


def test_over_a_hundred_tools_of_all_domains_give_what_is_on_record() -> None:
    assert record() == LINES
    assert len(LINES) >= 100
    domains = {line["domain"] for line in LINES}
    assert domains >= {
        "finance", "weather", "geography", "shopping", "sport", "news", "search", "food", "travel", "events",
        "environment", "utilities", "vehicles", "media", "health",
    }  # fmt: skip
    assert min(line["confidence"] for line in LINES) >= 0.95


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["tool"])
def test_a_result_obeys_what_the_tool_declares_and_says_again_what_was_given(line: dict[str, Any]) -> None:
    entry = catalogue().entries[line["tool"]]
    assert disobeys(line["arguments"], entry.parameters) is None
    assert disobeys(line["result"], entry.returns) is None
    for name, value in line["arguments"].items():
        assert line["result"][name] == value
    nested = json.dumps(line["result"])
    assert not re.search(r"@(?!example\.org)|https?://(?!example\.org/)", nested), "an address of somebody"


def test_an_independent_validator_agrees() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    for line in LINES:
        entry = catalogue().entries[line["tool"]]
        jsonschema.Draft202012Validator.check_schema(entry.returns)
        jsonschema.validate(line["result"], entry.returns)
        jsonschema.validate(line["arguments"], entry.parameters)


def test_the_seed_and_the_arguments_make_the_result_and_nothing_else_does() -> None:
    tool = catalogue().entries["get_stock_price"].definition
    first = mock(tool, {"symbol": "ALFA", "currency": "EUR"}, 1)
    assert first == mock(tool, {"currency": "EUR", "symbol": "ALFA"}, 1)
    assert first.result["price"] != mock(tool, {"symbol": "ALFA", "currency": "EUR"}, 2).result["price"]
    assert first.result["price"] != mock(tool, {"symbol": "BRVO", "currency": "EUR"}, 1).result["price"]


@pytest.mark.parametrize(
    ("name", "about", "category", "low", "high"),
    [
        ("getStockPrice", "", "finance", 0.95, 1),
        ("weather.fetch_forecast", "", "weather", 0.8, 0.9),
        ("list_bus_stops_and_fares", "", "travel", 0.45, 0.6),
        ("do_it", "Finds a restaurant and its menu for a meal.", "food", 0.4, 0.4),
        ("do_it", "It is about a song.", "media", 0.3, 0.3),
        ("frobnicate", "", "unknown", 0.2, 0.2),
        ("calculate_house_value", "", "homes", 0.2, RECKONS),
        ("triangle_area", "", "reckoning", 0.2, RECKONS),
        ("predict_weather_forecast", "", "weather", 0.2, RECKONS),
    ],
)  # fmt: skip
def test_confidence_follows_how_much_is_known(name: str, about: str, category: str, low: float, high: float) -> None:
    made = mock(definition({"name": name, "description": about}), {"x": 1}, 0)
    assert (made.category, low <= made.confidence <= high) == (category, True), made
    assert made.result["x"] == 1


def test_a_declared_shape_is_worth_more_than_none() -> None:
    returns = {"type": "object", "properties": {"price": {"type": "number", "maximum": 5}}, "required": ["price"]}
    bare = {"name": "spot_quote_of_thing", "description": "A quote for a share on the market."}
    with_shape, without = (mock(definition(one), {}, 0) for one in ({**bare, "returns": returns}, bare))
    assert with_shape.confidence == pytest.approx(without.confidence + 0.1)
    assert 2 <= with_shape.result["price"] <= 5


def test_a_shape_that_nothing_can_be_given_for_is_not_pretended() -> None:
    returns = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 5, "maximum": 3}}}
    made = mock(Definition("get_stock_price", "", {"type": "object"}, returns), {"symbol": "ALFA"}, 0)
    assert made.confidence < 0.4


def test_a_calculator_of_another_shape_computes_and_one_that_cannot_does_not_guess() -> None:
    other = definition({"name": "calculator", "parameters": {"type": "object", "properties": {"expr": {}}}})
    assert mock(other, {"expr": "7 * 6"}, 0).result["result"] == 42
    assert mock(other, {"a": 7, "b": 6, "op": "*"}, 0).confidence <= RECKONS
    with pytest.raises(ToolError, match="no arithmetic expression"):
        mock(other, {"expr": "__import__('os').system('true')"}, 0)
    assert like(other).confidence >= CERTAIN_FROM


PLAIN = st.deferred(
    lambda: st.one_of(
        st.fixed_dictionaries({"type": st.sampled_from(["string", "integer", "number", "boolean", "null"])}),
        st.fixed_dictionaries({"type": st.just("integer"), "minimum": st.integers(-50, 50)}),
        st.fixed_dictionaries({"type": st.just("number"), "minimum": st.integers(0, 9), "maximum": st.just(50)}),
        st.fixed_dictionaries({"enum": st.lists(st.text(max_size=5), min_size=1, max_size=4)}),
        st.fixed_dictionaries({"type": st.just("string"), "minLength": st.integers(0, 90), "maxLength": st.just(90)}),
        st.fixed_dictionaries(
            {"type": st.just("array"), "items": PLAIN, "minItems": st.integers(0, 9), "maxItems": st.integers(9, 12)}
        ),
        st.builds(
            lambda properties: {"type": "object", "properties": properties, "required": list(properties),
                                "additionalProperties": False},
            st.dictionaries(st.sampled_from(["price", "city", "date", "rows", "zz", "email"]), PLAIN, max_size=4),
        ),
        st.builds(lambda one: {"anyOf": [one]}, PLAIN),
    )
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(["price", "name", "a", "b"]), PLAIN, max_size=4), st.integers(0, 9))
def test_any_declared_shape_is_obeyed(properties: dict[str, Any], seed: int) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    returns = {"type": "object", "properties": properties, "required": list(properties)}
    made = mock(Definition("get_widget", "", {"type": "object"}, returns), {"q": "x"}, seed)
    jsonschema.validate(made.result, returns)
    assert disobeys(made.result, returns) is None
    assert made.confidence >= 0.3


@pytest.mark.parametrize(
    "returns",
    [
        {"type": "array", "items": {"type": "array", "items": {"$ref": "#"}}, "minItems": 10**9},
        {"type": "object", "properties": {"a": {"minimum": 10**400, "type": "integer"}}},
        {"type": "object", "properties": "no"},
        {"type": ["null", "string"], "minLength": 10**12},
        {"anyOf": [], "enum": {}, "properties": {"x": 3}},
    ],
)
def test_a_hostile_shape_costs_little_and_crashes_nothing(returns: dict[str, Any]) -> None:
    made = mock(Definition("get_stock_price", "", {"type": "object"}, returns), {"symbol": "A" * 10**6}, 0)
    assert len(json.dumps(made.result)) < 2 * 10**5


if __name__ == "__main__":
    for one in record():
        print(json.dumps(one, ensure_ascii=False))
