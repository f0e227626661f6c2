"""A parser of one expression in plain spelling: text → the exact sum of products that it means.

Recursive descent over at most a few hundred characters; depth and size are bounded, and anything that is not
understood raises `Unreadable`. Juxtaposition multiplies; a number before a fraction of numbers is a mixed number.
"""

from __future__ import annotations

import re
from fractions import Fraction
from math import comb, factorial

from testtime.answers import numbers
from testtime.answers.algebra import Unreadable, Value, atom, constant, power

DEEPEST = 40
MOST_WORK = 20_000
"""Products of two terms, of all multiplications together: a fifth of a second."""
LARGEST = 60
"""Of factorials and binomials that are computed."""

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+")
_WHOLE = re.compile(r"-?[0-9]+")
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_SUBSCRIPT = re.compile(r"_\s?(?:\{([A-Za-z0-9, ]{1,12})\}|([A-Za-z0-9]))")
_FUNCTIONS = {
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "log", "ln", "lg",
    "exp", "arg", "deg", "det", "gcd", "lcm", "max", "min",
}  # fmt: skip
_PLAIN_FUNCTION = re.compile(r"(?:arcsin|arccos|arctan|sqrt|sin|cos|tan|cot|sec|csc|log|ln|exp)(?![a-z])")
_GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "theta", "lambda", "mu", "nu", "omega", "phi", "varphi",
    "psi", "rho", "sigma", "tau", "pi", "eta", "zeta", "kappa", "xi", "chi", "ell", "Delta", "Omega", "Phi", "Gamma",
    "Theta", "Lambda", "Sigma", "Pi", "emptyset", "varnothing",
}  # fmt: skip


class Parser:
    """Reads one expression from its start to its end."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth, self.work = text, 0, 0, 0

    def value(self) -> Value:
        """The whole text. Raises Unreadable."""
        value = self._sum()
        if self._peek():
            raise Unreadable
        return value

    def _sum(self) -> Value:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable
        total = self._product()
        while (sign := self._peek()) in ("+", "-") and sign:
            self.at += 1
            total = total + self._product() if sign == "+" else total - self._product()
        self.depth -= 1
        return total

    def _product(self) -> Value:
        total = self._signed()
        while sign := self._peek():
            if sign in "*/":
                self.at += 1
                other = self._signed()
                total = self._times(total, other) if sign == "*" else self._over(total, other)
            elif sign in "+-)]},;|=<>&…±":
                break
            else:
                total = self._beside(total)
        return total

    def _beside(self, left: Value) -> Value:
        """What stands beside a factor: the other factor, or the fraction of a mixed number."""
        after_digit = self.text[: self.at].rstrip()[-1:].isdigit()
        if after_digit and self._peek() in "0123456789.":
            raise Unreadable  # two numerals beside each other are no product
        mixed = self.text.startswith("\\frac", self.at) and after_digit
        other = self._powered()
        whole, part = left.number, other.number
        if mixed and whole is not None and part is not None and whole.denominator == 1 and 0 < part < 1:
            return left - other if whole < 0 else left + other
        return self._times(left, other)

    def _times(self, one: Value, other: Value) -> Value:
        self._spend(len(one.terms) * len(other.terms))
        return one * other

    def _over(self, above: Value, below: Value) -> Value:
        self._spend(len(above.terms) * len(below.terms) + 8 * len(below.terms) ** 2)
        return above / below

    def _power(self, base: Value, exponent: Value) -> Value:
        if len(base.terms) > 1 and exponent.number is not None:
            self._spend(4 * min(len(base.terms) ** 2 * abs(int(exponent.number)), MOST_WORK))
        return power(base, exponent)

    def _spend(self, work: int) -> None:
        self.work += work
        if self.work > MOST_WORK:
            raise Unreadable

    def _signed(self) -> Value:
        sign = self._peek()
        if sign in ("+", "-") and sign:
            self.at += 1
            return -self._signed() if sign == "-" else self._signed()
        return self._powered()

    def _powered(self) -> Value:
        base = self._postfix(self._atom())
        if self._peek() == "^":
            self.at += 1
            base = self._power(base, self._exponent())
            base = self._postfix(base)
        return base

    def _exponent(self) -> Value:
        """What a power takes: all digits of a number without braces, as people mean it, else what a command takes."""
        self._peek()
        found = _WHOLE.match(self.text, self.at)
        if found is None or len(found[0]) > numbers.MOST_DIGITS:
            return self._argument()
        self.at = found.end()
        return constant(int(found[0]))

    def _postfix(self, base: Value) -> Value:
        while self._peek() in ("!", "'") and self._peek():
            mark = self._peek()
            self.at += 1
            number = base.number
            if mark == "!" and number is not None and number.denominator == 1 and 0 <= number <= LARGEST:
                base = constant(factorial(int(number)))
            else:
                base = atom(f"{base.text}{mark}")
        return base

    def _atom(self) -> Value:
        sign = self._peek()
        number = _NUMBER.match(self.text, self.at)
        if number:
            return self._number(number)
        if sign in ("(", "[", "{") and sign:
            return self._group(sign)
        if sign == "|":
            return self._absolute()
        if sign == "\\":
            return self._command()
        if sign == "∞":
            self.at += 1
            return atom("∞")
        if sign.isalpha() and sign.isascii():
            return self._name()
        raise Unreadable

    def _number(self, found: re.Match[str]) -> Value:
        self.at = found.end()
        if len(found[0]) > numbers.MOST_DIGITS:
            raise Unreadable
        base = _SUBSCRIPT.match(self.text, self.at)
        if base:  # a numeral of another base is a name, compared as written
            self.at = base.end()
            return atom(f"{found[0]}_{base[1] or base[2]}")
        return constant(Fraction(found[0]))

    def _group(self, opener: str) -> Value:
        self.at += 1
        inner = self._sum()
        self._expect({"(": ")", "[": "]", "{": "}"}[opener])
        return inner

    def _absolute(self) -> Value:
        self.at += 1
        inner = self._sum()
        self._expect("|")
        number = inner.number
        return constant(abs(number)) if number is not None else atom(f"|{inner.text}|")

    def _command(self) -> Value:
        found = _COMMAND.match(self.text, self.at)
        if found is None:
            raise Unreadable
        self.at, name = found.end(), found[1]
        if name == "frac":
            above = self._argument()
            return self._over(above, self._argument())
        if name == "sqrt":
            return self._sqrt()
        if name == "binom":
            return self._binomial()
        if name in _FUNCTIONS:
            return self._function(name)
        if name in _GREEK:
            return self._subscripted("pi" if name == "pi" else f"\\{name}")
        raise Unreadable

    def _name(self) -> Value:
        function = _PLAIN_FUNCTION.match(self.text, self.at)
        if function:
            self.at = function.end()
            return self._sqrt() if function[0] == "sqrt" else self._function(function[0])
        if self.text.startswith("pi", self.at) and not self.text[self.at + 2 : self.at + 3].isalpha():
            self.at += 2
            return atom("pi")
        self.at += 1
        return self._subscripted(self.text[self.at - 1])

    def _subscripted(self, name: str) -> Value:
        found = _SUBSCRIPT.match(self.text, self.at)
        if found:
            self.at = found.end()
            name = f"{name}_{(found[1] or found[2]).replace(' ', '')}"
        return atom(name)

    def _function(self, name: str) -> Value:
        r"""A function of what follows, by its canonical text; `\log_2` keeps its base, `\sin^2` is a square."""
        base = _SUBSCRIPT.match(self.text, self.at)
        if base:
            self.at = base.end()
            name = f"{name}_{base[1] or base[2]}"
        exponent = None
        if self._peek() == "^":
            self.at += 1
            exponent = self._exponent()
        inner = self._powered()
        while (sign := self._peek()) and (sign.isalnum() or sign == "\\") and not self._at_function():
            inner = self._times(inner, self._powered())
        value = atom(f"{name}({inner.text})")
        return self._power(value, exponent) if exponent else value

    def _at_function(self) -> bool:
        """Whether another function begins here: the argument of the last one ends before it."""
        found = _COMMAND.match(self.text, self.at)
        return (found is not None and found[1] in _FUNCTIONS) or _PLAIN_FUNCTION.match(self.text, self.at) is not None

    def _sqrt(self) -> Value:
        degree = constant(2)
        if self._peek() == "[":
            self.at += 1
            degree = self._sum()
            self._expect("]")
        return self._power(self._argument(), self._over(constant(1), degree))

    def _binomial(self) -> Value:
        above, below = self._argument(), self._argument()
        n, k = above.number, below.number
        if n is not None and k is not None and n.denominator == k.denominator == 1 and 0 <= k <= n <= LARGEST:
            return constant(comb(int(n), int(k)))
        return atom(f"binom({above.text},{below.text})")

    def _argument(self) -> Value:
        r"""What a command takes: a group, or one sign: `\frac12` is a half."""
        sign = self._peek()
        if sign == "{":
            return self._group(sign)
        if sign.isdigit():
            self.at += 1
            return constant(int(sign)) if sign.isascii() else atom(sign)
        if sign == "-":
            self.at += 1
            return -self._argument()
        return self._atom()

    def _expect(self, sign: str) -> None:
        if self._peek() != sign:
            raise Unreadable
        self.at += 1

    def _peek(self) -> str:
        """The next sign that is no space; "" at the end."""
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]
