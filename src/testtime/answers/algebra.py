r"""Exact sums of products in one form: what makes `\frac{\sqrt{8}}{4}` and `1/\sqrt2` one answer.

A value is a sum of terms; a term is a rational times powers of atoms: names, π, i, prime numbers under a root,
and whatever is not understood further (`sin(…)`, `1/(1+x)`), by its own canonical text. Two values with one
`text` are equal wherever both are defined; equal values may have two texts, which only an algebra system can
tell. Everything is bounded, because models write the input: beyond the bounds `Unreadable` is raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import isqrt

from testtime.answers import numbers

MOST_TERMS = 60
"""Of a sum."""
MOST_POWER = 16
"""The highest power to which a sum is expanded."""
MOST_ROOT = 10**4
"""Primes above this are not looked for under a root."""
_IMAGINARY = "i"
_HALF = Fraction(1, 2)

Term = tuple[tuple[str, Fraction], ...]
"""Atoms and their powers, sorted by atom."""


class Unreadable(Exception):
    """Not an expression, or beyond the bounds."""


@dataclass(frozen=True)
class Value:
    """A sum: term → coefficient, never 0."""

    terms: Mapping[Term, Fraction] = field(default_factory=dict)

    @property
    def number(self) -> Fraction | None:
        """The rational that it is, or None."""
        if not self.terms:
            return Fraction(0)
        return self.terms.get(()) if len(self.terms) == 1 else None

    @property
    def text(self) -> str:
        """The canonical text; of a rational, the key that a plain number has."""
        value = self.number
        if value is not None:
            return numbers.key(value)
        said = "".join(_spelt(term, self.terms[term]) for term in sorted(self.terms))
        return said.removeprefix("+")

    def __add__(self, other: Value) -> Value:
        terms = dict(self.terms)
        for term, coefficient in other.terms.items():
            terms[term] = terms.get(term, Fraction(0)) + coefficient
        return _checked(terms)

    def __neg__(self) -> Value:
        return Value({term: -coefficient for term, coefficient in self.terms.items()})

    def __sub__(self, other: Value) -> Value:
        return self + -other

    def __mul__(self, other: Value) -> Value:
        total: dict[Term, Fraction] = {}
        for one, a in self.terms.items():
            for two, b in other.terms.items():
                term, coefficient = _product(one, two, a * b)
                total[term] = total.get(term, Fraction(0)) + coefficient
        return _checked(total)

    def __truediv__(self, other: Value) -> Value:
        return self * inverse(other)


def constant(value: Fraction | int) -> Value:
    """A rational."""
    return _checked({(): Fraction(value)})


def atom(name: str, power: Fraction | int = 1) -> Value:
    """A name, or something not understood further, by its text."""
    return Value({((name, Fraction(power)),): Fraction(1)})


def inverse(value: Value) -> Value:
    """One over a value: roots and i go to the numerator; another sum becomes an atom, its coefficients made coprime."""
    if not value.terms:
        raise Unreadable
    above, below = constant(1), value
    for name, power in _irrational(value):
        if len(below.terms) == 1:
            break
        without = Value({t: c for t, c in below.terms.items() if (name, power) not in t})
        conjugate = without + without - below
        if not without.terms or not below.terms:
            break
        above, below = above * conjugate, below * conjugate
    if not below.terms:
        raise Unreadable
    if len(below.terms) == 1:
        ((term, coefficient),) = below.terms.items()
        turned, coefficient = _product((), tuple((name, -power) for name, power in term), 1 / coefficient)
        return above * Value({turned: coefficient})
    lead = below.terms[min(below.terms)]
    primitive = Value({term: coefficient / lead for term, coefficient in below.terms.items()})
    return above * constant(1 / lead) * atom(f"({primitive.text})", -1)


def power(base: Value, exponent: Value) -> Value:
    """A power: whole ones are multiplied out, roots of rationals reduced; any other is an atom."""
    rational = exponent.number
    if rational is None:
        return atom(f"({base.text})^({exponent.text})")
    if rational.denominator == 1:
        return _whole_power(base, rational.numerator)
    number = base.number
    if number is not None:
        return _root(number, rational)
    if len(base.terms) == 1:
        ((term, coefficient),) = base.terms.items()
        if coefficient > 0 and all(one == 1 and name != _IMAGINARY for name, one in term):
            root = _root(coefficient, rational)
            return root * Value({tuple((name, rational) for name, _ in term): Fraction(1)})
    return atom(f"({base.text})", rational)


def _whole_power(base: Value, exponent: int) -> Value:
    if exponent < 0:
        return inverse(_whole_power(base, -exponent))
    if len(base.terms) > 1 and exponent > MOST_POWER:
        return atom(f"({base.text})", exponent)
    largest = max((_digits(c) for c in base.terms.values()), default=1)
    if largest * exponent > numbers.MOST_DIGITS and base.number not in (0, 1, -1):
        return atom(f"({base.text})", exponent)
    total = constant(1)
    while exponent:
        if exponent & 1:
            total *= base
        base, exponent = base * base if exponent > 1 else base, exponent >> 1
    return total


def _root(number: Fraction, exponent: Fraction) -> Value:
    """A rational to a power, primes with powers between 0 and 1. Raises Unreadable for an even root below 0 but √."""
    if number == 0:
        return constant(0)
    sign = constant(1)
    if number < 0:
        if exponent.denominator == 2 and abs(exponent) == _HALF:
            sign = power(atom(_IMAGINARY), constant(2 * exponent))
        elif exponent.denominator % 2 == 1:
            sign = constant(-1 if exponent.numerator % 2 else 1)
        else:
            raise Unreadable
    total = sign
    for prime, times in (*_factors(abs(number.numerator)), *((p, -t) for p, t in _factors(number.denominator))):
        total *= _prime_power(prime, times * exponent)
    return total


def _prime_power(prime: int, exponent: Fraction) -> Value:
    whole = exponent.numerator // exponent.denominator
    if abs(whole) * len(str(prime)) > numbers.MOST_DIGITS:
        raise Unreadable
    part = exponent - whole
    value = constant(Fraction(prime) ** whole)
    return value * atom(str(prime), part) if part else value


def _product(one: Term, two: Term, coefficient: Fraction) -> tuple[Term, Fraction]:
    """Two terms together: i² is -1, and a prime's powers stay between 0 and 1."""
    powers = dict(one)
    for name, exponent in two:
        powers[name] = powers.get(name, Fraction(0)) + exponent
    for name in list(powers):
        if name.isdigit():
            whole = powers[name].numerator // powers[name].denominator
            if abs(whole) * len(name) > numbers.MOST_DIGITS:
                raise Unreadable
            coefficient *= Fraction(int(name)) ** whole
            powers[name] -= whole
        elif name == _IMAGINARY and powers[name].denominator == 1:
            turn = powers[name].numerator % 4
            coefficient *= -1 if turn in (2, 3) else 1
            powers[name] = Fraction(turn % 2)
    return tuple(sorted((name, e) for name, e in powers.items() if e)), coefficient


def _checked(terms: Mapping[Term, Fraction]) -> Value:
    kept = {term: coefficient for term, coefficient in terms.items() if coefficient}
    if len(kept) > MOST_TERMS or any(_digits(c) > numbers.MOST_DIGITS for c in kept.values()):
        raise Unreadable
    return Value(kept)


def _digits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length()) * 3 // 10 + 1


def _irrational(value: Value) -> list[tuple[str, Fraction]]:
    """Square roots of primes, and i, in a value: those that a conjugate removes."""
    found = {(name, e) for term in value.terms for name, e in term if name.isdigit() and e == _HALF}
    found |= {(name, e) for term in value.terms for name, e in term if name == _IMAGINARY and e == 1}
    return sorted(found)[:4]


def _factors(number: int) -> list[tuple[int, int]]:
    """Prime factors and how often; what has no small one stays whole, its square root taken where there is one."""
    found: list[tuple[int, int]] = []
    prime = 2
    while prime * prime <= number and prime <= MOST_ROOT:
        times = 0
        while number % prime == 0:
            number //= prime
            times += 1
        if times:
            found.append((prime, times))
        prime += 1 if prime == 2 else 2
    if number > 1:
        root = isqrt(number)
        found.append((root, 2) if root * root == number else (number, 1))
    return found


def _spelt(term: Term, coefficient: Fraction) -> str:
    sign = "-" if coefficient < 0 else "+"
    size = numbers.key(abs(coefficient))
    atoms = [name if e == 1 else f"{name}^{numbers.key(e)}" for name, e in term]
    return sign + "*".join([size, *atoms] if size != "1" or not atoms else atoms)
