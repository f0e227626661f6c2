"""What a run is to do, with every component at hand. `build` makes it from a spec; the engine takes nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from testtime.core.errors import BadInput, Refused
from testtime.core.protocols import Ask, Decoding, Meter, Model, Policy, Verifier
from testtime.core.records import ABSTAIN, Arm, Candidate, Map, Problem
from testtime.core.spend import Spend
from testtime.engine.caps import Caps, need_prices

Retry = Literal["none", "transient", "all"]
Tool = Callable[[Map, Ask], Awaitable[Map]]
"""Arguments → result. Raises ToolError."""


@dataclass(frozen=True, eq=False)
class Lane:
    """Arms that one draw serves: one, or one for each setting of a decoding (prefix budgets)."""

    arms: tuple[Arm, ...]
    decoding: Decoding
    messages: Callable[[Problem], Sequence[Map]]
    """The arms' prompt, filled in."""
    due: int = 0
    """Draws of each problem whatever comes out; policies may ask for more."""
    again: Arm | None = None
    """The arm of marked retries, where these are drawn otherwise; it has no other draws."""

    @cached_property
    def scope(self) -> str:
        """What its seeds and draws are named by: the id of its first arm."""
        return self.arms[0].id

    @cached_property
    def ids(self) -> Mapping[str, str]:
        """Label of each of its arms, and of that of its retries → id."""
        return {arm.label: arm.id for arm in (*self.arms, *([self.again] if self.again else []))}


@dataclass(frozen=True, eq=False)
class Plan:
    """One run. Two plans of one folder extend each other: more problems, draws, arms, policies, verifiers.

    What must not change is the seed, the dataset, the question of a query_id, and what an arm of one label
    is made of. So a label names what stays (the decoding, the persona, "small"), not the settings: a change
    of model or temperature under it is refused by the key that differs, and under a new label is a new arm.
    """

    run: str
    dataset: str
    seed: int
    problems: Sequence[Problem]
    lanes: Sequence[Lane]
    models: Mapping[str, Model]
    """By the names that arms and `roles` use."""
    answer: Callable[[Problem, str], tuple[str | None, str | None]]
    """The task's: (as printed, answer key)."""
    parser: str = ""
    """Digest of what `answer` is made of: answers that another parser read are read again."""
    policies: Sequence[Policy] = ()
    """Executed live: they ask for draws beyond those due."""
    verifiers: Sequence[Verifier] = ()
    roles: Mapping[str, str] = field(default_factory=dict)
    """Roles that every arm has besides its own (judge, mock) → model name."""
    judges: Mapping[str, Verifier] = field(default_factory=dict)
    """Step scorers, for `Ask.judge`."""
    tools: Mapping[str, Tool] = field(default_factory=dict)
    price: Callable[[str, Spend], float | None] | None = None
    """(Model, tokens) → dollars, where a backend does not say."""
    meter: Meter | None = None
    about: Map = field(default_factory=dict)
    """What else the files say of the run: config, config_hash, notes, vote, policies."""
    concurrency: int = 16
    """Calls in flight at once."""
    share: int = 64
    """The most draws that share one request."""
    attempts: int = 4
    """Tries of one request within a session, but for those that the provider was too busy for."""
    backoff: float = 1.0
    """Seconds before the second try; doubled before each further one, at most a minute."""
    patience: float = 300.0
    """Seconds for which a busy provider is asked again."""
    timeout: float | None = None
    """Seconds after which a call is given up; None: never."""
    requests_per_minute: float | None = None
    """The most requests that leave for one model in a minute."""
    tokens_per_minute: float | None = None
    """The most tokens, prompt and completion, that requests of a minute are to take."""
    caps: Caps = field(default_factory=Caps)
    """What all that is spent for this output may come to."""
    retry_failed: Retry = "transient"
    """Which draws that failed in earlier sessions are made again."""
    batch: int | None = None
    """Requests of one batch file at most, for models that take them; None: every request by itself."""
    linger: float = 5.0
    """Seconds without a further request after which a batch leaves."""
    window: float = 5.0
    """Seconds of one energy window."""
    idle: float = 0.0
    """Seconds for which the idle machine is measured before a session begins its work."""

    def __post_init__(self) -> None:
        if len(self.by_label) < sum(len(lane.arms) for lane in self.lanes):
            raise BadInput("two arms have one label", mend="give each arm its own label")
        if len(self.arms) < len(self.by_label):
            raise BadInput("two arms differ in their label alone, so they would draw alike", mend="drop one")
        if len({problem.query_id for problem in self.problems}) < len(self.problems):
            raise BadInput("two problems have one query_id", mend="make the ids of the dataset unique")
        for lane in self.lanes:
            self._check(lane)
        need_prices(self.caps, self.models, self.price)
        for policy in self.policies:
            if missing := set(policy.arms) - self.by_label.keys():
                have = ", ".join(self.by_label)
                raise Refused(f"policy {policy.name} uses an arm {sorted(missing)[0]!r}", mend=f"the arms are: {have}")

    def _check(self, lane: Lane) -> None:
        """Every role of the decoding has a model that can do what it needs."""
        for role, needs in lane.decoding.roles.items():
            name = self.name_of(lane.arms[0], role)
            if name not in self.models:
                raise Refused(f"arm {lane.arms[0].label} has no model for the role {role!r}", mend="name one")
            if lacks := sorted(needs - self.models[name].can):
                raise Refused(f"the role {role!r} needs {', '.join(lacks)}, which {name} cannot", mend="use another")

    @cached_property
    def by_label(self) -> Mapping[str, Lane]:
        """Arm label → its lane."""
        return {arm.label: lane for lane in self.lanes for arm in lane.arms}

    @cached_property
    def by_scope(self) -> Mapping[str, Lane]:
        """Scope → lane."""
        return {lane.scope: lane for lane in self.lanes}

    @cached_property
    def arms(self) -> Mapping[str, Arm]:
        """Arm id → arm."""
        return {arm.id: arm for lane in self.lanes for arm in lane.arms}

    @cached_property
    def again(self) -> Mapping[str, Arm]:
        """Arm id → arm, of those that only marked retries have."""
        return {lane.again.id: lane.again for lane in self.lanes if lane.again is not None}

    @cached_property
    def at(self) -> Mapping[str, int]:
        """query_id → place in `problems`."""
        return {problem.query_id: at for at, problem in enumerate(self.problems)}

    def read(self, problem: Problem, candidate: Candidate) -> tuple[str | None, str | None]:
        """(As printed, answer key) of a candidate. One that failed, was cut short, filtered or refused abstains."""
        if candidate.error is not None or candidate.finish in ABSTAIN:
            return None, None
        return self.answer(problem, candidate.text)

    def reference(self, query: str) -> str | None:
        """The gold answer of a problem; None where there is none, or the problem is not the plan's."""
        return self.problems[self.at[query]].reference if query in self.at else None

    def chunk(self, lane: Lane) -> int:
        """How many draws of a problem are made together: those that may share a request."""
        if lane.decoding.calls != 1:
            return 1
        models = [self.models[self.name_of(lane.arms[0], role)] for role in lane.decoding.roles]
        return self.share if all("n" in model.can for model in models) else 1

    def name_of(self, arm: Arm, role: str) -> str:
        """The model that plays a role for an arm; "" where none does."""
        return arm.models.get(role) or self.roles.get(role, "")
