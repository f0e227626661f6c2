"""Proves that numbers in text are exact, have one key a value, and never take long, whatever the text."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.answers import numbers

EQUAL = [
    ("18", "18.0", "18.", "$18", "+18", "018", "18%",
     "$18.00", "18e0", "1.8e1", "36/2", r"\$18", r"18\%", "$18$", "180e-1"),
    ("1234", "1,234", "1,234.00", "$1,234", r"1{,}234", r"1\,234", "1\u202f234", r"1,\!234", "1.234e3"),
    ("-3", "−3", "–3", "-3.0", "-$3", "$-3", "-6/2", r"-\frac{6}{2}"),
    ("0.5", ".5", "1/2", r"\frac{1}{2}", r"\dfrac12", "5e-1", "50/100", r"\frac{ 1 }{ 2 }"),
    ("2.5", "2 1/2", r"2\frac{1}{2}", "5/2", "2.50"),
    ("1/3", "2/6", r"\frac{1}{3}"),
    ("1500", "1.5e3", r"1.5 \times 10^{3}", "1.5 × 10^3", "1.5*10^3", "1,500"),
    ("1000000", "1,000,000", "1e6", "1E+6"),
    ("0", "-0", "0.00", "0/7", "0e5"),
]  # fmt: skip
NOT_NUMBERS = [
    "", " ", "Monday", "3,4", "1,23,456", "12,34", "1,2345", "1.2.3", "1,234,56", "12/25/2020", "2^5", "10^{3}",
    "x_1", "A1", "\u0663", "\uff11\uff18", "\u00b2", "1/0", "inf", "nan", "Infinity", "18 dollars",
    "3 apples and 4", "1e401", "1e-401", "--3", "1 2", "3 7/2", "1_000", "0x10", "1/2/3", "$", "%", ".", "-", "e5",
]  # fmt: skip


@pytest.mark.parametrize("forms", EQUAL, ids=lambda forms: forms[0])
def test_all_forms_of_a_value_share_the_key_named_first(forms: tuple[str, ...]) -> None:
    assert {form: numbers.canonical(form) for form in forms} == dict.fromkeys(forms, forms[0])


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_what_is_not_one_number_has_no_key(text: str) -> None:
    assert numbers.canonical(text) is None


def test_42_is_not_18_and_empty_texts_are_never_the_same() -> None:
    assert not numbers.same("42", "18")
    assert numbers.same("18.0", "18")
    assert numbers.same("1,234", "1234")
    assert not numbers.same("3.5", "4.5")
    assert not numbers.same("", "")
    assert not numbers.same("Monday", "Monday")
    assert not numbers.same(None, "18")


@given(st.fractions(max_denominator=10**12))
def test_a_key_reads_back_as_its_value(value: Fraction) -> None:
    assert numbers.parse(numbers.key(value)) == value


@given(st.fractions(), st.fractions())
def test_keys_are_equal_exactly_where_values_are(one: Fraction, other: Fraction) -> None:
    assert (numbers.key(one) == numbers.key(other)) == (one == other)


@given(st.integers(-(10**24), 10**24), st.integers(0, 12))
def test_a_decimal_means_what_the_decimal_module_says(units: int, places: int) -> None:
    text = f"{Decimal(units).scaleb(-places):f}"
    assert numbers.parse(text) == Fraction(units, 10**places)
    assert numbers.parse(f"{units:,}") == units


def test_bounds_are_400_digits_and_exponent_400() -> None:
    assert numbers.parse("9" * 400) == 10**400 - 1
    assert numbers.parse("9" * 401) is None
    assert numbers.parse("1e400") == 10**400
    assert numbers.parse("1e-400") == Fraction(1, 10**400)
    assert [numbers.parse(f"1e{power}") for power in ("401", "-401", "2000000", "0" * 50)] == [None] * 4


@pytest.mark.parametrize("text", ["1e2000000", "9" * 10**6, "1/" + "3" * 10**6, "1." + "3" * 10**6, "1," * 10**6 + "1"])
def test_text_that_would_take_minutes_to_convert_is_no_number(text: str) -> None:
    assert numbers.parse(text) is None
    assert numbers.last(text) is None


FIRST_AND_LAST = [
    ("10-4", "10", "4"),
    ("10 -4", "10", "-4"),
    ("-3 to +5", "-3", "+5"),
    ("(-3)", "-3", "-3"),
    ("the answer--5", "5", "5"),
    ("18 cm^2 ", "18", "18"),
    (r"18\text{ cm}^2", "18", "18"),
    ("5^{-2}", None, None),
    ("...18", "18", "18"),
    ("day.18 apples", "18", "18"),
    ("3...5", "3", "5"),
    ("COVID-19 at 5km", "19", "5"),
    ("values 1,2,3 of 7", "7", "7"),
    ("1, 2, 3", "1", "3"),
    ("- 18 apples", "18", "18"),
    ("_18_ or **19**", "18", "19"),
    ("$<<9*2=18>>18", "9", "18"),
    ("costs -$5.50.", "-5.50", "-5.50"),
    ("on 12/25/2020", None, None),
    ("x_2 and A1", None, None),
    ("3rd of 4th", "3", "4"),
    ("1e2000000 after 7", "7", "7"),
    ("16/2=8", "16/2", "8"),
    ("2×3=6", "2", "6"),
    ("10–12", "10", "12"),
    ("18dollars", "18", "18"),
]


@pytest.mark.parametrize(("text", "first", "last"), FIRST_AND_LAST)
def test_numbers_are_found_in_running_text(text: str, first: str | None, last: str | None) -> None:
    said = numbers.plain(text)
    ends = numbers.first(said), numbers.last(said)
    assert [found and found.printed for found in ends] == [first, last]


@given(st.text(alphabet="0123456789.,-+/^_eE$% {}\\frac()xA\n", max_size=60))
def test_whatever_is_found_reads_back_alike(text: str) -> None:
    found = numbers.last(numbers.plain(text))
    assert found is None or numbers.parse(found.printed) == found.value
