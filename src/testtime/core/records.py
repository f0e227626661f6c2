"""The nouns: frozen records of what is asked, what comes back, and what was said of it.

A problem is drawn under an arm by a decoding, which makes calls and yields candidates; verifiers
give verdicts. The pool is the candidates of a run. Imports nothing of ours but `spend` and `seeds`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from testtime.core.seeds import digest
from testtime.core.spend import Spend

Map = Mapping[str, Any]
Finish = Literal["stop", "length", "tools", "refusal", "filter", "cut", "error"]
"""Why a text ended. `length`: its token limit; `cut`: a policy ended it; `error`: nothing came."""
ABSTAIN: frozenset[Finish] = frozenset({"length", "filter", "refusal", "error"})
"""Ways to end without an answer: paid outcomes that are neither failures nor drawn again."""


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text, so it can be digested."""
    return _CANONICAL.encode(value)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (tuple, set, frozenset)):
        return sorted(value) if not isinstance(value, tuple) else list(value)
    return str(value)


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)


@dataclass(frozen=True, slots=True)
class Problem:
    """One question of a dataset. It holds no messages: those belong to the arm's prompt."""

    query_id: str
    split: str
    question: str
    reference: str | None = None
    """The gold answer as the dataset gives it, or None."""
    fields: Map = field(default_factory=dict)
    """What its verifier needs: choices, tests, tools, solution set."""
    cluster: str | None = None
    """Problems with one source (a passage, a template): the unit of clustered intervals."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked, once."""

    messages: Sequence[Map]
    """The conversation; none: `prefix` is all that the model reads, without a chat template."""
    prefix: str | tuple[int, ...] = ""
    """Assistant text, or its token ids, to continue."""
    n: int = 1
    """Completions wanted; child i is seeded `seed + i`, so chunking changes nothing."""
    seed: int | None = None
    params: Map = field(default_factory=dict)
    """max_tokens, temperature, top_p, stop, tools, schema, thinking, logprobs."""
    again: bool = False
    """Other draws send the same prompt: a provider's cache should keep it."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One text a model gave."""

    text: str
    finish: Finish
    tokens: int | None = None
    """Completion tokens; None where the provider bills several completions in one sum."""
    token_ids: tuple[int, ...] | None = None
    logprobs: Sequence[Mapping[str, float]] | None = None
    tool_calls: Sequence[Map] = ()


@dataclass(frozen=True, slots=True)
class Generation:
    """The answer to one request: `n` completions and what they cost together."""

    completions: Sequence[Completion]
    spend: Spend
    model: str
    provider_id: str | None = None
    calls: Sequence[str] = ()
    """Keys of the calls that paid for it; filled in by Ask, for `Part.call` and `Candidate.calls`."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens of a model whose texts are its tokens joined. Models with equal ones can go on by token ids."""

    tokens: Sequence[str]
    """By id."""
    ends: frozenset[int]
    """Ids that end a turn; they are no part of its text."""


Status = Literal["sent", "ok", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt at one request: where money, time and failure are recorded."""

    key: str
    """Digest of (model, request, seed): the same request is never paid for twice."""
    role: str
    model: str
    serves: Sequence[str]
    """Ids of the draws or verdicts it paid for."""
    attempt: int
    status: Status
    spend: Spend
    started: float
    ended: float | None = None
    why: str | None = None


PartKind = Literal["base", "oracle", "thinking", "forced", "answer", "call", "result", "tools", "step", "member"]


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a candidate: guided, budget and tool traces are all a sequence of parts."""

    kind: PartKind
    text: str
    tokens: int | None = None
    call: str | None = None
    token_ids: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Arm:
    """Everything that shapes how a candidate is distributed."""

    label: str
    models: Mapping[str, str]
    """Role → model: {"model": …}, or {"base": …, "oracle": …}."""
    prompt: str = ""
    persona: str | None = None
    decoding: Map = field(default_factory=lambda: {"kind": "plain"})
    sampling: Map = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Digest of everything but the label: two arms with one id would draw alike."""
        return digest(canonical([self.models, self.prompt, self.persona, self.decoding, self.sampling]))


@dataclass(frozen=True, slots=True)
class Candidate:
    """One row of the pool, key (arm, query_id, candidate_idx)."""

    arm: str
    query_id: str
    candidate_idx: int
    parts: Sequence[Part]
    finish: Finish
    alone: Mapping[str, Spend] = field(default_factory=dict)
    """By role: what this row would have cost by itself (the frontier's x). `paid` belongs to calls."""
    calls: Sequence[str] = ()
    seed: int | None = None
    retry_of: int | None = None
    """The candidate_idx this row tries again: a marked retry is not one of the N."""
    error: str | None = None
    facts: Map = field(default_factory=dict)
    """Columns of the decoding: thinking_tokens, n_continuations, cheat_positions, …"""

    @property
    def text(self) -> str:
        """All parts joined: what the model side wrote, in order."""
        return "".join(part.text for part in self.parts if part.kind not in ("tools", "call", "result", "member"))


@dataclass(frozen=True, slots=True)
class Verdict:
    """One stage's word on one candidate."""

    stage: str
    digest: str
    """Of the stage's version and settings: another verifier never reuses this verdict."""
    value: bool | None = None
    """None: could not tell (no tests, a failure, no reference). Never averaged in as false."""
    score: float | None = None
    confidence: float | None = None
    method: str = ""
    explanation: str = ""
    gold: bool = False
    """It saw the reference: no policy reads it unless asked for as oracle(…)."""
    columns: Map = field(default_factory=dict)
    calls: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a foreign program may use: seconds, memory of a process, files, processes, and output."""

    seconds: float = 10.0
    """By the clock, without those in which it waited for a processor that other work had, where that is counted."""
    memory_mb: int = 512
    disk_mb: int = 32
    processes: int | None = 6
    """Processes and threads together; None where the sandbox has no count of its own."""
    output: int = 100_000
    """Bytes after which the program is stopped."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a foreign program."""

    ended: Literal["exit", "timeout", "output", "lost"]
    """It ended; its time was up; it said too much; its process went away without a word."""
    exit: int | None = None
    stdout: str = ""
    verdict: bool | None = None
    """Of its tests, where it was tested."""
    why: str = ""
