"""The tools of a run: which model plays them, what each decoding with tools has at hand, and what runs their calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from testtime.core.errors import Refused
from testtime.core.protocols import Model
from testtime.core.records import Map, Problem, Request, canonical
from testtime.core.seeds import digest
from testtime.decoding.tools import Means, Tools
from testtime.engine.plan import Lane, Tool
from testtime.runspec import RunSpec
from testtime.tools.execute import FILES, NAME, Execute, definitions, functions
from testtime.tools.simulate import TOKENS

MOCKS = {"openai": "openai:gpt-4o-mini", "anthropic": "anthropic:claude-sonnet-4-6"}
"""Provider of a run's model → the model that plays tools there; elsewhere it is the run's own."""
SPLIT = "tool_calling"
"""A split whose problems are asked with their tools, where nobody names a decoding."""


def usual_decoding(spec: RunSpec) -> tuple[str, ...]:
    """The decodings of a run: those it names, else with tools where a split is about them."""
    return ("tools",) if "decoding" not in spec.model_fields_set and SPLIT in spec.splits else spec.decoding


def usual_mock(spec: RunSpec, model: str, decoding: Sequence[str]) -> str | None:
    """The model that plays tools: the one that is named, else that of the provider; None: the run's own, or no tools.

    One that is named where no decoding has tools is asked nothing, and is not opened.
    """
    if not any(text.partition(":")[0].strip() == Tools.name for text in decoding):
        return None
    return spec.mock_model or (None if spec.base_url else MOCKS.get(model.partition(":")[0]))


def equipped(
    spec: RunSpec,
    lane: Lane,
    models: Mapping[str, Model],
    mock: str,
    problems: Sequence[Problem],
    allowed: Sequence[str] = (),
) -> Lane:
    """The lane with what its decoding needs of tools; `allowed` are phrases of the persona that are no refusals.

    Raises BadInput for an unknown tool, Refused for none at all.
    """
    decoding = lane.decoding
    if not isinstance(decoding, Tools):
        return lane
    if not decoding.tools and not any(problem.fields.get("tools") for problem in problems):
        raise Refused("the decoding tools is asked for, and no problem has any", mend="name some: --tools calculate")
    model = models[lane.arms[0].models["model"]]
    native = decoding.protocol == "auto" and "tools" in model.can
    means = Means(native, _sampling(spec, models[mock]) is not None, definitions(decoding.tools), allowed)
    made, asked = replace(decoding, means=means), lane.messages
    (arm,) = lane.arms
    if any(name.endswith(FILES) for name in decoding.tools):  # what a file says shapes the draws, not what it is called
        said = digest(canonical([one.plain for one in means.definitions]))
        arm = replace(arm, decoding={**arm.decoding, "definitions": said})
    return replace(
        lane,
        arms=(arm,),
        decoding=made,
        messages=lambda problem: made.opening(problem, asked(problem)),
        again=made.again_of(arm),
    )


def executor(spec: RunSpec, lanes: Sequence[Lane], models: Mapping[str, Model], mock: str) -> Mapping[str, Tool]:
    """What runs the calls of all lanes, by the name that decodings ask for. Raises BadInput."""
    chosen = [name for lane in lanes if isinstance(lane.decoding, Tools) for name in lane.decoding.tools]
    if not any(isinstance(lane.decoding, Tools) for lane in lanes):
        return {}
    return {NAME: Execute(spec.seed, functions(chosen), _sampling(spec, models[mock]))}


def _sampling(spec: RunSpec, model: Model) -> Map | None:
    """What a model takes of what it is asked with as a tool; None where it cannot be one, and nobody named it."""
    if spec.mock_model is None and not model.can & {"tools", "schema"}:
        return None
    for more in ({"temperature": 0.3}, {}):
        params = {"max_tokens": TOKENS, **more}
        if model.refuses(Request([{"role": "user", "content": "?"}], params=params)) is None:
            return params
    return None
