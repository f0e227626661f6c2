"""The verbs: what each kind of component can do, one protocol each.

Left half (spends money): Model ← Ask ← Decoding, Verifier. Right half (pure): Policy over History.
A capability of a model is a protocol of its own; a component says what it needs, and `build` refuses
an impossible pair before the first call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, TypeVar, runtime_checkable

import numpy as np

from testtime.core.history import Asks, Ballot, Bools, Floats, History, Ints, Tally, Track
from testtime.core.records import Arm, Candidate, Generation, Limits, Map, Problem, Ran, Request, Verdict
from testtime.core.spend import Spend

_T = TypeVar("_T")
Cap = Literal[
    "n", "seed", "temperature", "logprobs", "continuation", "token_ids", "tools", "schema", "thinking",
    "score", "states", "batch", "deterministic",
]  # fmt: skip


# ---- models: three verbs, of which the last two are capabilities ----
class Model(Protocol):
    """Answers requests. A fake is forty lines (models/echo.py)."""

    @property
    def name(self) -> str:
        """As `provider:name`."""
        ...

    @property
    def can(self) -> frozenset[Cap]:
        """Its capabilities."""
        ...

    def refuses(self, request: Request) -> str | None:
        """Why this request cannot be honoured exactly, or None. Asked before the first call.

        A plain text, or a `Reason` where the model knows what the user can do about it.
        """
        ...

    async def generate(self, request: Request) -> Generation:
        """`request.n` completions. Raises ModelError."""
        ...


class Scored(list[Floats]):
    """What a model gives for texts, in their order, and what reading them took."""

    def __init__(self, laws: Iterable[Floats], spend: Spend) -> None:
        super().__init__(laws)
        self.spend = spend


class Scores(Protocol):
    """Capability "score": log-probabilities of given texts by teacher forcing."""

    async def score(
        self, request: Request, texts: Sequence[str | tuple[int, ...]], full: bool = False
    ) -> Sequence[Floats]:
        """For each text its tokens' log-probabilities [token]; with `full`, all next-token laws [token, vocabulary].

        A `Scored` says what that took; of any other sequence it is not known.
        """
        ...


class States(Protocol):
    """Capability "states": statistics at positions of a given text (entropy, attention)."""

    async def states(self, request: Request, positions: Sequence[int]) -> Mapping[str, Floats]:
        """Statistic → [position]."""
        ...


class Batches(Protocol):
    """Capability "batch": the provider's batch files, hidden behind Ask."""

    async def submit(self, requests: Mapping[str, Request]) -> str:
        """Sends many requests by key; gives the batch's id."""
        ...

    def collect(self, batch: str) -> AsyncIterator[tuple[str, Generation | Exception]]:
        """What has come back, by key."""
        ...


@runtime_checkable
class Opens(Protocol):
    """Of a model behind a package or a key. Asked once before the first call of a session; a dry run asks not."""

    def open(self) -> None:
        """Makes sure that it can be called. Raises BadInput: its package is missing, or its key."""
        ...


@runtime_checkable
class Tokens(Protocol):
    """Of a model that shows its tokens, here and at once."""

    @property
    def context(self) -> int:
        """The most tokens that it can read and write together."""
        ...

    def ids(self, request: Request) -> tuple[int, ...]:
        """What it would read: prompt and prefix. Raises ModelError."""
        ...

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The text of each token. Raises ModelError for an unknown one."""
        ...


class Closes(Protocol):
    """Of a model that holds connections: the engine calls it once at the end of a session, in the session's loop."""

    async def close(self) -> None:
        """Lets go of what the session opened; the next `generate` opens it anew."""
        ...


# ---- how candidates are made ----
class Ask(Protocol):
    """The one handle of decodings, judges and tools: roles, seeds, meters, retries, journal, n-grouping."""

    arms: Sequence[Arm]
    """The arms this draw serves: one, or one a setting."""

    @property
    def rng(self) -> np.random.Generator:
        """All randomness of a decoding: of (seed, arm, query, draw), so a killed draw runs again alike."""
        ...

    async def generate(self, role: str, request: Request) -> Generation:
        """Asks the role's model. The same request of the same draw is answered from the journal."""
        ...

    async def score(
        self, role: str, request: Request, texts: Sequence[str | tuple[int, ...]], full: bool = False
    ) -> Sequence[Floats]:
        """Teacher forcing by the role's model."""
        ...

    async def measure(
        self,
        role: str,
        request: Request,
        texts: Sequence[str | tuple[int, ...]],
        of: Callable[[Sequence[Floats]], _T],
        full: bool = False,
    ) -> _T:
        """What a pure function makes of the scores, as plain JSON: for sets whose scores are too many to keep."""
        ...

    async def judge(self, name: str, problem: Problem, texts: Sequence[str]) -> Sequence[Verdict]:
        """A step scorer's verdicts on partial texts."""
        ...

    async def tool(self, name: str, arguments: Map) -> Map:
        """Runs a tool. Raises ToolError, whose text belongs in the conversation."""
        ...


class Decoding(Protocol):
    """How one draw is made: sequential scaling. One short file each.

    A frozen dataclass whose fields are its settings (`core.settings.setting`), but for `sampling`: the parameters of
    its requests (temperature, top_p, max_tokens), which `lanes` gives it.
    """

    @property
    def name(self) -> str:
        """As registered."""
        ...

    @property
    def roles(self) -> Mapping[str, frozenset[Cap]]:
        """Role → capabilities it needs."""
        ...

    @property
    def settings(self) -> Sequence[Map]:
        """For each arm that a draw serves, all that shapes its candidates: several for prefix budgets, one else."""
        ...

    @property
    def calls(self) -> int | None:
        """Calls a draw needs: 1 allows n-grouping and batch files, None is not known before."""
        ...

    @property
    def notes(self) -> frozenset[str]:
        """The numbers it writes into the facts of every candidate: policies may read them as columns."""
        ...

    def probes(self, messages: Sequence[Map]) -> Sequence[tuple[str, Request]]:
        """(Role, request) of each kind that it will send: models are asked beforehand whether they refuse it."""
        ...

    async def draw(self, problem: Problem, messages: Sequence[Map], idx: int, ask: Ask) -> Sequence[Candidate]:
        """One candidate for each of `ask.arms` (marked retries besides)."""
        ...


class Task(Protocol):
    """One benchmark: its problems, and what counts as the same answer."""

    @property
    def name(self) -> str:
        """As registered."""
        ...

    @property
    def prompt(self) -> str:
        """The usual template, with {question} in it."""
        ...

    @property
    def verifier(self) -> str:
        """The stage that judges its answers."""
        ...

    def problems(self, split: str) -> Iterator[Problem]:
        """In dataset order."""
        ...

    def answer(self, problem: Problem, text: str) -> tuple[str | None, str | None]:
        """(As printed, answer key). No key: the candidate abstains."""
        ...

    def right(self, problem: Problem, key: str | None) -> bool | None:
        """Whether an answer key is the reference; None where there is no reference. An abstention is wrong."""
        ...


@runtime_checkable
class Mixed(Protocol):
    """A task of which settings and splits say whether answers are programs, which vote by what they do."""

    def programs(self, splits: Sequence[str]) -> bool:
        """Whether all answers of these splits are."""
        ...


class Verifier(Protocol):
    """One stage's judgement of candidates."""

    @property
    def stage(self) -> str:
        """As registered."""
        ...

    @property
    def digest(self) -> str:
        """Of its version and settings: another one never reuses its verdicts."""
        ...

    @property
    def gold(self) -> bool:
        """Whether it sees the reference."""
        ...

    def refuses(self, problem: Problem) -> str | None:
        """Why it could not judge any answer to this problem here, or None. Asked before the first call."""
        ...

    async def verify(self, problem: Problem, candidate: Candidate, ask: Ask) -> Verdict:
        """Never raises for a bad candidate; a failure of the stage is VerifierError, recorded as null."""
        ...


class Meter(Protocol):
    """Energy. Joules are known for a window, never for a call; they are attributed when the pool is finished."""

    @property
    def source(self) -> str:
        """What measures, in words."""
        ...

    def window(self) -> AbstractAsyncContextManager[Map]:
        """Yields a mapping whose "joules" is filled in when the window closes (None: unknown)."""
        ...


class Sandbox(Protocol):
    """Where foreign programs run: each behind walls of its own, as if it meant harm."""

    @property
    def name(self) -> str:
        """As registered."""
        ...

    @property
    def trust(self) -> Literal["high", "low"]:
        """Low: limits and no walls."""
        ...

    async def run(self, source: str, stdin: str, limits: Limits) -> Ran:
        """Runs a Python program on an input."""
        ...

    async def check(self, source: str, setup: str, tests: str, limits: Limits, names: Sequence[str] = ()) -> Ran:
        """Runs tests against a program that they cannot see into, and that cannot see them.

        `setup` is the dataset's own code; what the tests name beyond it is the program's, and so are `names`. Where the
        tests set `__outputs__`, its canonical text is the `stdout`: equal plain values have equal texts.
        """
        ...

    def close(self) -> None:
        """Ends what it keeps started."""
        ...


# ---- policies ----
class StoppingRule(Protocol):
    """When the votes suffice. ONE predicate, from which table, exact law, printed boundary and least batch derive."""

    @property
    def name(self) -> str:
        """As registered."""
        ...

    @property
    def reads(self) -> frozenset[str]:
        """The tally quantities it looks at; {"n", "v1", "v2"} or fewer makes it a rule of counts."""
        ...

    def stops(self, tally: Tally) -> Bools:
        """Elementwise."""
        ...


class Vote(Protocol):
    """How visible draws become an answer."""

    @property
    def needs(self) -> frozenset[str]:
        """Columns it weighs by."""
        ...

    def ballot(self, track: Track) -> Ballot:
        """Weights on draws; ties share unless the vote says otherwise."""
        ...


class Policy(Protocol):
    """When to stop × how to vote. A frozen dataclass whose fields are its settings; keeps no state."""

    @property
    def name(self) -> str:
        """As registered."""
        ...

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms it uses, by label; () runs it on every arm of a pool by itself."""
        ...

    @property
    def needs(self) -> frozenset[str]:
        """Columns it reads."""
        ...

    @property
    def across(self) -> bool:
        """False: rows are independent and any subset may be asked alone. True: one budget over a world's problems."""
        ...

    @property
    def floor(self) -> int:
        """Draws a problem is due whatever comes out."""
        ...

    @property
    def most(self) -> int | None:
        """The most draws one problem can get; None where only the budget limits it."""
        ...

    def ask(self, history: History) -> Asks:
        """Further draws wanted now; all zero when done."""
        ...

    def choose(self, history: History) -> Ballot:
        """The answer, once done."""
        ...


@runtime_checkable
class Certifies(Protocol):
    """A policy that says how sure its answers are, with an error that holds whenever it stopped."""

    def e_value(self, history: History) -> Floats:
        """Evidence, of the history's shape, that the answer is the model's most common one."""
        ...

    def certain(self, history: History) -> Bools:
        """Where the evidence suffices."""
        ...


@runtime_checkable
class Learner(Protocol):
    """A policy that learns what problems are like: replay cross-fits it, a live run takes it fitted."""

    @property
    def learns(self) -> bool:
        """Whether it still has to."""
        ...

    def fitted(self, codes: Ints, columns: Mapping[str, Floats]) -> Policy:
        """The policy for problems like these: votes, and the columns it needs, [problem, draw]. It sees no gold."""
        ...


__all__ = [
    "Ask", "Asks", "Batches", "Cap", "Certifies", "Closes", "Decoding", "Ints", "Learner", "Meter", "Mixed", "Model",
    "Opens", "Policy", "Scores", "States", "StoppingRule", "Task", "Tokens", "Verifier", "Vote",
]  # fmt: skip
