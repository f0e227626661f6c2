"""What is computed is true (checked by hand, and against Python), and what a model writes as an argument is reckoned
within limits or refused: nothing of it runs.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testtime.core.errors import ToolError
from testtime.tools import computed


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2 + 3 * 4", 14), ("(2+3)*4", 20), ("2^10", 1024), ("7 // 2 + 7 % 4", 6), ("sqrt(2) * sqrt(2)", 2),
        ("-3 ** 2", -9), ("1e3 / 8", 125), ("round(2.675, 2)", 2.67), ("max(3, 4) ÷ 2", 2), ("ln(e)", 1),
        ("sin(pi / 2)", 1), ("10 × 3 − 1", 29), ("0.1 + 0.2", 0.3),
    ],
)  # fmt: skip
def test_arithmetic_is_right(expression: str, value: float) -> None:
    assert computed.calculate(expression)["result"] == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(
    "expression",
    [
        "9 ** 9 ** 9", "2 ** 5000", "factorial(9)", "__import__('os')", "(lambda: 1)()", "[1] * 9", "'a' * 9", "x + 1",
        "1 if 1 else 2",
        "abs.__class__", "1 / 0", "(-8) ** 0.5", "sqrt(-1)", "round(5, -10000000000)", "1 +", "", "9" * 300,
        "(" * 90 + ")" * 90, "True + 1", "1_0 and 2", "min()", "exp(9999)", "open('/etc/passwd')", "1e999", "10 % 0",
    ],
)  # fmt: skip
def test_what_is_no_arithmetic_or_too_much_of_it_is_refused(expression: str) -> None:
    with pytest.raises(ToolError):
        computed.calculate(expression)


@settings(max_examples=300)
@given(st.text(alphabet="0123456789+-*/%^(). ,eπsqrt_ab'\"[]{}:;!=<>~\\\n", max_size=60))
def test_any_text_is_a_number_or_an_error(text: str) -> None:
    try:
        result = computed.calculate(text)["result"]
    except ToolError:
        return
    assert isinstance(result, (int, float))


@pytest.mark.parametrize(
    ("value", "one", "other", "result"),
    [
        (26.2, "miles", "km", 42.1648128), (100, "C", "F", 212), (-40, "fahrenheit", "celsius", -40),
        (0, "K", "C", -273.15),
        (1, "lb", "kg", 0.45359237), (2, "hours", "min", 120), (5, "ft", "inches", 60),
        (1, "gallon", "liters", 3.785411784),
        (60, "mph", "km/h", 96.56064), (1, "acre", "m2", 4046.8564224), (3, "cups", "ml", 709.7647095),
    ],
)  # fmt: skip
def test_units_are_converted(value: float, one: str, other: str, result: float) -> None:
    assert computed.convert_units(value, one, other)["result"] == pytest.approx(result, rel=1e-9)


@given(st.floats(-1e6, 1e6), st.sampled_from(["m", "km", "mi", "ft", "yd"]), st.sampled_from(["cm", "in", "nmi"]))
def test_there_and_back_is_the_same(value: float, one: str, other: str) -> None:
    there = computed.convert_units(value, one, other)["result"]
    assert computed.convert_units(there, other, one)["result"] == pytest.approx(value, rel=1e-8, abs=1e-8)


def test_dates_times_and_money() -> None:
    assert computed.days_between("2024-02-28", "2024-03-01")["days"] == 2
    assert computed.add_days("2023-12-31", 1)["result_date"] == "2024-01-01"
    assert computed.day_of_week("2000-01-01")["weekday"] == "Saturday"
    moved = computed.convert_time("2026-01-10T20:00", "America/New_York", "Asia/Tokyo")
    assert moved["result_datetime"] == "2026-01-11T10:00:00+09:00"
    assert computed.get_time("UTC")["datetime"] == "2026-01-15T12:00:00+00:00"
    assert computed.loan_payment(200_000, 6, 30)["monthly_payment_amount"] == 1199.10
    assert computed.compound_interest(1000, 5, 10)["final_amount"] == 1628.89
    assert computed.tip(84.5, 20, 2) == {"tip_amount": 16.9, "total_amount": 101.4, "each_amount": 50.7}
    assert computed.bmi(70, 1.75) == {"bmi_number": 22.9}
    rates = [computed.exchange_rate(a, b)["rate"] for a, b in (("EUR", "JPY"), ("JPY", "EUR"))]
    assert rates[0] * rates[1] == pytest.approx(1, abs=1e-3), "rates agree with each other"


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (computed.convert_units, (1, "mile", "kg")), (computed.convert_units, (1, "parsnip", "kg")),
        (computed.convert_units, (float("nan"), "m", "km")), (computed.get_time, ("../../etc/passwd",)),
        (computed.get_time, ("Mars/Olympus",)), (computed.get_time, ("",)),
        (computed.days_between, ("yesterday", "2024-01-01")),
        (computed.add_days, ("2024-01-01", 10**12)), (computed.loan_payment, (1, 2, 0)), (computed.bmi, (70, 0)),
        (computed.compound_interest, (1e15, 900, 200, 366)), (computed.exchange_rate, ("EUR", "XYZ")),
        (computed.tip, (1, 2, 0)),
        (computed.convert_time, ("noon", "UTC", "UTC")), (computed.percentage, (True, 3)),
    ],
)  # fmt: skip
def test_what_has_no_result_is_an_error_for_the_model(function: object, arguments: tuple[object, ...]) -> None:
    with pytest.raises(ToolError):
        function(*arguments)  # type: ignore[operator]
