"""Tools whose results are true: arithmetic, units, dates and times, a little finance. Arguments come from a model.

Nothing is evaluated but numbers, operators and the functions named here, within limits. What cannot be computed raises
ToolError.
"""

from __future__ import annotations

import ast
import math
import operator
import tomllib
from collections.abc import Callable, Mapping
from datetime import date as Date
from datetime import datetime as Moment
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from testtime.core.errors import ToolError
from testtime.tools.values import NOW

LONGEST = 200
"""Characters of an expression."""
LARGEST = 2.0**1000
"""Numbers beyond it are refused: no question needs them, and they can take minutes."""
_BINARY: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip
_UNARY: Mapping[type, Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "sqrt": math.sqrt, "abs": abs, "round": lambda value, digits=0: _rounded(value, digits),
    "min": min, "max": max, "exp": math.exp, "log": math.log,
    "ln": math.log, "log10": math.log10, "log2": math.log2, "sin": math.sin, "cos": math.cos, "tan": math.tan,
    "floor": math.floor, "ceil": math.ceil,
}  # fmt: skip
_CONSTANTS = {"pi": math.pi, "e": math.e}


def calculate(expression: str) -> dict[str, Any]:
    """The value of an arithmetic expression, as (2 + 3) * 4 ^ 2 or sqrt(2).

    >>> calculate("2 + 3 * 4")["result"]
    14
    """
    if len(expression) > LONGEST:
        raise ToolError(f"the expression has more than {LONGEST} characters")
    plain = expression.replace("^", "**").replace("×", "*").replace("÷", "/").replace("−", "-")
    try:
        value = _value(ast.parse(plain.strip(), mode="eval").body)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise ToolError(f"{expression!r} is no arithmetic expression ({error})") from None
    except (ZeroDivisionError, OverflowError) as error:
        raise ToolError(f"{expression!r} has no value: {error}") from None
    return {"expression": expression, "result": _tidy(value)}


def _value(node: ast.expr) -> Any:
    """The value of one part of an expression. Raises ValueError for what is no arithmetic."""
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _within(number)
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=op, operand=inner) if type(op) in _UNARY:
            return _UNARY[type(op)](_value(inner))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            one, other = _value(left), _value(right)
            if isinstance(op, ast.Pow) and one and abs(other) * abs(math.log2(abs(one))) > 1000:
                raise OverflowError("the number is too large")
            return _within(_BINARY[type(op)](one, other))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            return _within(_FUNCTIONS[name](*map(_value, args)))
    raise ValueError("only numbers, operators and functions like sqrt are known")


def _rounded(value: Any, digits: Any) -> Any:
    if digits not in range(-15, 16):
        raise ValueError("it is rounded to -15 to 15 digits")
    return round(float(value), int(digits))


def _within(value: Any) -> Any:
    if isinstance(value, complex) or value != value or abs(value) > LARGEST:
        raise OverflowError("it is no real number that can be written")
    return value


def _tidy(value: Any) -> Any:
    """A whole number as such, others to twelve digits."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    return float(f"{value:.12g}") if isinstance(value, float) else value


# ---- units ----
@cache
def _units() -> Mapping[str, tuple[str, float, float]]:
    """Name of a unit → (quantity, factor to its base, what is added after)."""
    table = tomllib.loads(files("testtime.tools").joinpath("units.toml").read_text(encoding="utf-8"))
    found: dict[str, tuple[str, float, float]] = {}
    for quantity, units in table.items():
        for names, said in units.items():
            factor, shift = said if isinstance(said, list) else (said, 0.0)
            found |= dict.fromkeys(names.split("|"), (quantity, float(factor), float(shift)))
    return found


def convert_units(value: float, from_unit: str, to_unit: str) -> dict[str, Any]:
    """A quantity in another unit, as 5 miles in km.

    >>> convert_units(100, "C", "F")["result"]
    212
    """
    one, other = _unit(from_unit), _unit(to_unit)
    if one[0] != other[0]:
        raise ToolError(f"{from_unit} measures {one[0]}, {to_unit} measures {other[0]}")
    base = _number(value) * one[1] + one[2]
    result = _tidy(float(f"{(base - other[2]) / other[1]:.10g}"))
    return {"value": value, "from_unit": from_unit, "to_unit": to_unit, "result": result}


def _unit(name: str) -> tuple[str, float, float]:
    plain = str(name).strip()
    for said in (plain, plain.lower(), plain.lower().rstrip("s"), plain.lower().replace(" ", "_").rstrip("s")):
        if said in _units():
            return _units()[said]
    raise ToolError(f"the unit {plain[:40]!r} is not known")


# ---- dates and times ----
def get_time(timezone: str) -> dict[str, Any]:
    """The time at a place by its time zone; the clock stands still (values.NOW)."""
    there = NOW.astimezone(_zone(timezone))
    return {"timezone": timezone, "datetime": there.isoformat(), "weekday": f"{there:%A}"}


def convert_time(datetime: str, from_timezone: str, to_timezone: str) -> dict[str, Any]:
    """A moment (2026-03-01T09:30) of one time zone in another."""
    try:
        moment = Moment.fromisoformat(str(datetime).strip())
    except ValueError:
        raise ToolError(f"{str(datetime)[:40]!r} is no moment; write 2026-03-01T09:30") from None
    there = moment.replace(tzinfo=_zone(from_timezone)).astimezone(_zone(to_timezone))
    known = {"datetime": datetime, "from_timezone": from_timezone, "to_timezone": to_timezone}
    return {**known, "result_datetime": there.isoformat()}


def days_between(start_date: str, end_date: str) -> dict[str, Any]:
    """Days from one date (2026-03-01) to another.

    >>> days_between("2024-02-28", "2024-03-01")["days"]
    2
    """
    return {"start_date": start_date, "end_date": end_date, "days": (_date(end_date) - _date(start_date)).days}


def add_days(date: str, days: int) -> dict[str, Any]:
    """The date so many days after a date (2026-03-01)."""
    try:
        later = _date(date) + timedelta(days=int(_number(days)))
    except OverflowError:
        raise ToolError("that date is out of range") from None
    return {"date": date, "days": days, "result_date": later.isoformat()}


def day_of_week(date: str) -> dict[str, Any]:
    """Which day of the week a date (2026-03-01) is.

    >>> day_of_week("2026-11-25")["weekday"]
    'Wednesday'
    """
    return {"date": date, "weekday": f"{_date(date):%A}"}


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(str(name).strip())
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ToolError(f"the time zone {str(name)[:40]!r} is not known; write Europe/Lisbon") from None


def _date(text: str) -> Date:
    try:
        return Date.fromisoformat(str(text).strip())
    except ValueError:
        raise ToolError(f"{str(text)[:40]!r} is no date; write 2026-03-01") from None


# ---- money and kin ----
def loan_payment(principal_amount: float, annual_rate_percent: float, years_count: float) -> dict[str, Any]:
    """The monthly payment of a loan that is paid back in equal parts."""
    principal, months = _number(principal_amount), round(_number(years_count) * 12)
    rate = _number(annual_rate_percent) / 1200
    if not 0 < months <= 1200 or not -0.5 < rate < 10:
        raise ToolError("a loan lasts up to 100 years, at a rate that can be")
    monthly = principal / months if rate == 0 else principal * rate / (1 - (1 + rate) ** -months)
    return {"monthly_payment_amount": round(monthly, 2), "total_amount": round(monthly * months, 2)}


def compound_interest(
    principal_amount: float, annual_rate_percent: float, years_count: float, times_per_year_count: int = 1
) -> dict[str, Any]:
    """What a sum grows to at compound interest."""
    times, years = _number(times_per_year_count), _number(years_count)
    rate = _number(annual_rate_percent) / 100
    if not 1 <= times <= 366 or not 0 <= years <= 200 or not -1 < rate < 10:
        raise ToolError("interest is paid 1 to 366 times a year, for up to 200 years, at a rate that can be")
    try:
        final = _within(_number(principal_amount) * (1 + rate / times) ** (times * years))
    except OverflowError:
        raise ToolError("the sum grows beyond what can be written") from None
    return {"final_amount": round(final, 2), "interest_amount": round(final - principal_amount, 2)}


def percentage(value: float, percent: float) -> dict[str, Any]:
    """So many percent of a value."""
    return {"value": value, "percent": percent, "result": _tidy(_number(value) * _number(percent) / 100)}


def tip(bill_amount: float, tip_percent: float, people_count: int = 1) -> dict[str, Any]:
    """A tip, the bill with it, and what each of some people pays."""
    if _number(people_count) < 1:
        raise ToolError("at least one person pays")
    extra = round(_number(bill_amount) * _number(tip_percent) / 100, 2)
    whole = round(bill_amount + extra, 2)
    return {"tip_amount": extra, "total_amount": whole, "each_amount": round(whole / people_count, 2)}


def bmi(weight_kg_amount: float, height_m: float) -> dict[str, Any]:
    """The body-mass index: kilograms by the square of metres."""
    if _number(height_m) <= 0:
        raise ToolError("a height is above 0")
    return {"bmi_number": round(_number(weight_kg_amount) / height_m**2, 1)}


RATES = {
    "USD": 1.0,
    "EUR": 0.92,
    "GBP": 0.79,
    "JPY": 150.0,
    "CHF": 0.88,
    "AUD": 1.5,
    "CAD": 1.35,
    "CNY": 7.2,
    "INR": 83.0,
}
"""What a dollar is worth in the world of the mocks: made up once, so that rates agree with each other."""


def exchange_rate(from_currency: str, to_currency: str) -> dict[str, Any]:
    """The rate between two currencies in the world of the mocks."""
    one, other = (RATES.get(str(name).strip().upper()) for name in (from_currency, to_currency))
    if one is None or other is None:
        raise ToolError(f"known currencies: {', '.join(RATES)}")
    return {"from_currency": from_currency, "to_currency": to_currency, "rate": round(other / one, 6)}


def convert_currency(amount: float, from_currency: str, to_currency: str) -> dict[str, Any]:
    """An amount in another currency at that rate."""
    known = exchange_rate(from_currency, to_currency)
    return {"amount": amount, **known, "result_amount": round(_number(amount) * known["rate"], 2)}


def _number(value: Any) -> Any:
    """A number as it is. Raises ToolError for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value or abs(value) > 1e15:
        raise ToolError(f"{str(value)[:40]!r} is no number that can be used")
    return value
