"""Word problems told by a seeded storyteller: a question in a closed vocabulary, and the steps that answer it.

A story starts with an amount and goes on by moves: somebody gains or loses some, packs of several come
in, the amount is doubled, somebody else has more, fewer or some times as many. It starts in January, and
every sentence is a month. Every value stays in
0–999. Dice are made of `random.Random.random()`, the one stream that Python promises never to change,
so that a seed tells the same story on every machine.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

from testtime.core.seeds import digest

T = TypeVar("T")
Op = Literal["+", "-", "*"]

LARGEST = 999
HE = ("Tom", "Leo", "Sam", "Max", "Ben", "Kai", "Jon", "Dan")
SHE = ("Mia", "Ana", "Eva", "Zoe", "Ida", "Lea", "Amy", "Noa")
THINGS = (
    "apples",
    "pears",
    "plums",
    "marbles",
    "cards",
    "coins",
    "stamps",
    "shells",
    "pens",
    "beads",
    "books",
    "stones",
)
GAINS = ("buys", "finds", "wins", "picks", "makes", "gets", "earns", "collects", "receives", "gathers")
LOSSES = ("loses", "sells", "drops", "breaks", "lends", "donates", "trades", "uses", "gives", "hides")
PACKS = ("boxes", "bags", "packs", "baskets", "jars", "crates")
SCALES = {"doubles": 2, "triples": 3}
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October")


class Step(NamedTuple):
    """One calculation of a story."""

    key: str
    """The word of the question by which its place is found: a month, packs of it, or "together"."""
    op: Op
    left: int
    right: int

    @property
    def value(self) -> int:
        """What the step gives."""
        return {"+": self.left + self.right, "-": self.left - self.right, "*": self.left * self.right}[self.op]


@dataclass(frozen=True, slots=True)
class Story:
    """A problem, told and solved."""

    question: str
    steps: tuple[Step, ...]

    @property
    def value(self) -> int:
        """The answer, an integer in 0–999."""
        return self.steps[-1].value

    @property
    def signature(self) -> str:
        """Digest of structure and numbers alone: stories that differ in names, things and wording share it."""
        return digest(*(f"{step.left}{step.op}{step.right}" for step in self.steps), length=16)


class Dice:
    """Choices by `random.Random(seed).random()` only."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._random() < probability

    def between(self, low: int, high: int) -> int:
        """An integer, both ends included."""
        return low + int(self._random() * (high - low + 1))

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.between(0, len(items) - 1)]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in random order."""
        left = list(items)
        return [left.pop(self.between(0, len(left) - 1)) for _ in items]


def tell(dice: Dice, steps: int) -> Story:
    """A story of so many steps (at least 1)."""
    teller = _Teller(dice)
    while len(teller.steps) < steps:
        teller.move(steps - len(teller.steps))
    return teller.finish()


class _Teller:
    """The state of a story half told."""

    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self.people = dice.shuffled(HE + SHE)
        self.who = self.people.pop()
        self.month = MONTHS[0]
        self.before: str | None = None
        """Whom the one now spoken of was just compared with."""
        self.things = dice.pick(THINGS)
        self.packs = dice.shuffled(PACKS)
        self.value = dice.between(3, 250)
        self.steps: list[Step] = []
        opening = dice.pick(("has", "starts with", "begins with"))
        self.said = [f"In {self.month} {self.who} {opening} {self.value} {self.things}."]
        self.asked = ""

    def move(self, most: int) -> None:
        """One more sentence, of at most `most` steps; tries moves until one fits the value."""
        moves = [self._gain, self._lose, self._compare, self._times, self._scale]
        moves += [self._pack, self._pack] if most > 1 else []
        if most == 1 and self.before:
            moves += [self._together] * 4
        self.month = MONTHS[len(self.said)]
        while not self.dice.pick(moves)():
            continue

    def finish(self) -> Story:
        """The story with its question."""
        last = MONTHS[len(self.said) - 1]
        asked = self.asked or f"How many {self.things} does {self.who} have in {last}?"
        return Story(" ".join([*self.said, asked]), tuple(self.steps))

    def _step(self, key: str, op: Op, left: int, right: int) -> None:
        self.steps.append(Step(key, op, left, right))
        self.value = self.steps[-1].value
        self.before = None

    def _amount(self, most: int) -> int:
        """A number that does not exceed `most`, small as often as large; 0 where there is none of at least 2."""
        most = min(most, 99 if self.dice.chance(0.6) else 300)
        return self.dice.between(2, most) if most >= 2 else 0

    def _does(self, what: str) -> None:
        """Says what the one spoken of does this month."""
        who = self.dice.pick((self.who, "he" if self.who in HE else "she"))
        self.said.append(f"In {self.month} {who} {what}.")

    def _gain(self) -> bool:
        amount = self._amount(LARGEST - self.value)
        if not amount:
            return False
        more = self.dice.pick(("more", "more " + self.things, self.things))
        self._does(f"{self.dice.pick(GAINS)} {amount} {more}")
        self._step(self.month, "+", self.value, amount)
        return True

    def _lose(self) -> bool:
        amount = self._amount(self.value - 1)
        if not amount:
            return False
        verb = self.dice.pick(LOSSES)
        whom = f" to {self.people[0]}" if verb in ("gives", "lends", "sells") else ""
        self._does(f"{verb} {amount}{self.dice.pick(('', ' of them', ' ' + self.things))}{whom}")
        self._step(self.month, "-", self.value, amount)
        return True

    def _pack(self) -> bool:
        packs, each = self.dice.between(2, 9), self.dice.between(2, 40)
        if self.value + packs * each > LARGEST or not self.packs:
            return False
        pack, held, joined = self.packs.pop(), self.value, self.dice.pick(("with", "of"))
        self._does(f"{self.dice.pick(GAINS)} {packs} {pack} {joined} {each} {self.things} each")
        self._step(self.month, "*", each, packs)
        self._step(pack, "+", held, self.value)
        return True

    def _scale(self) -> bool:
        verb = self.dice.pick(tuple(SCALES))
        if self.value * SCALES[verb] > LARGEST:
            return False
        self._does(f"{verb} {self.dice.pick(('them', 'the number of ' + self.things))}")
        self._step(self.month, "*", self.value, SCALES[verb])
        return True

    def _compare(self) -> bool:
        more = self.dice.chance(0.5)
        amount = self._amount(LARGEST - self.value if more else self.value - 1)
        if not amount or len(self.people) < 2:
            return False
        self._turn(f"{amount} {'more' if more else 'fewer'} {self.things} than", "+" if more else "-", amount)
        return True

    def _times(self) -> bool:
        times = self.dice.between(2, 9)
        if self.value * times > LARGEST or len(self.people) < 2:
            return False
        many = "twice" if times == 2 and self.dice.chance(0.5) else f"{times} times"
        self._turn(f"{many} as many {self.things} as", "*", times)
        return True

    def _turn(self, compared: str, op: Op, right: int) -> None:
        """The story turns to somebody who is compared with the one spoken of."""
        before, self.who = self.who, self.people.pop()
        self.said.append(f"In {self.month} {self.who} has {compared} {before}.")
        self._step(self.month, op, self.value, right)
        self.before = before

    def _together(self) -> bool:
        """The question asks for both of a comparison."""
        theirs = self.steps[-1].left
        if self.value + theirs > LARGEST:
            return False
        last = MONTHS[len(self.said) - 1]
        self.asked = f"How many {self.things} do {self.before} and {self.who} have together in {last}?"
        self._step("together", "+", theirs, self.value)
        return True


WORDS: tuple[str, ...] = (
    *HE, *SHE, *THINGS, *GAINS, *LOSSES, *PACKS, *SCALES, *MONTHS,
    "In", "in", "the", "has", "have", "starts", "begins", "with", "of", "each", "more", "fewer", "than", "twice",
    "times", "as", "many", "them", "number", "to", "he", "she", "How", "do", "does", "and", "together",
)  # fmt: skip
"""Every word a story can hold, in the order of the tokens that the pocket models were trained with."""
