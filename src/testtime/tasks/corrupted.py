"""Corrupted: the problems of another dataset, each followed by broken versions of itself that have no answer.

What `testtime calibrate` draws. The ids of broken problems end in `~` and how they were broken; a problem and its
broken versions are one cluster. One real row of GSM8K ("Janet's ducks lay 16 eggs per day. …"), broken by
`insufficient`: "Janet's ducks lay some eggs per day. …".

Prompt and extraction: the dataset's. Scoring: an original is right or wrong as there; a broken one has no right answer,
and whether the model declines is in the columns `refusal_*`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from testtime.core.errors import BadInput, unknown_name
from testtime.core.protocols import Task
from testtime.core.records import Problem
from testtime.core.registry import find
from testtime.core.settings import check, setting
from testtime.tasks.corruptions import CORRUPTIONS, told

Kind = Literal[
    "constraint_removed", "undefined_variable", "formula_omitted", "contradictory", "overdetermined", "insufficient"
]
MARK = "~"
"""Stands in the id of a broken problem between the original's and how it was broken."""


@dataclass(frozen=True)
class Corrupted:
    """The task over a task.

    >>> task = Corrupted(of="pocket-math", corruptions=("insufficient",))
    >>> [one.query_id.partition(MARK)[2] for _, one in zip(range(2), task.problems("easy"))]
    ['', 'insufficient']
    """

    of: str = setting("The dataset whose problems are broken")
    corruptions: tuple[Kind, ...] = setting("How they are broken; by default in every way", tuple(CORRUPTIONS))
    path: Path | str | None = None

    name: ClassVar[str] = "corrupted"

    def __post_init__(self) -> None:
        """Raises BadInput: no such dataset, one whose file is not named, no such corruption."""
        check(self)
        if not self.corruptions:
            raise BadInput("nothing is to be broken", mend=f"corruptions are {', '.join(CORRUPTIONS)}")
        for kind in self.corruptions:
            if kind not in CORRUPTIONS:
                raise unknown_name("corruption", kind, CORRUPTIONS)
        _ = self.inner

    @cached_property
    def inner(self) -> Task:
        """The dataset that is broken. Raises BadInput."""
        made = find("task", self.of)
        reads: Any = {f.name: f for f in fields(made)}.get("path")
        if self.of == self.name:
            raise BadInput("what is broken already is not broken again", mend="name another dataset")
        if reads is None and self.path is not None:
            raise BadInput(f"{self.of} is bundled and reads no file", mend="leave out --dataset_path")
        if reads is not None and self.path is None and reads.default is MISSING:
            raise BadInput(f"{self.of} is read from a file, and none is named", mend="add --dataset_path FILE")
        task: Task = made(**({} if self.path is None else {"path": self.path}))
        return task

    @property
    def prompt(self) -> str:
        """The dataset's."""
        return self.inner.prompt

    @property
    def verifier(self) -> str:
        """The dataset's."""
        return self.inner.verifier

    def problems(self, split: str) -> Iterator[Problem]:
        """Each problem, then its broken versions, of those ways that fit it."""
        for problem in self.inner.problems(split):
            cluster = problem.cluster or problem.query_id
            yield replace(problem, cluster=cluster)
            for kind in self.corruptions:
                if (text := CORRUPTIONS[kind](told(problem))) is not None:
                    fields = {**problem.fields, "category": kind}
                    yield Problem(f"{problem.query_id}{MARK}{kind}", split, text, None, fields, cluster)

    def answer(self, problem: Problem, text: str) -> tuple[str | None, str | None]:
        """The dataset's."""
        return self.inner.answer(problem, text)

    def right(self, problem: Problem, key: str | None) -> bool | None:
        """The dataset's; None for a broken problem."""
        return None if MARK in problem.query_id else self.inner.right(problem, key)
