"""Settings typed beside components stand for a grid of component texts: `--policies sc_fixed --n 1 2` for two policies.

A setting applies to every selected component that has it and does not already say it, whatever its kind: policies
of a replay; policies, decodings and the task of a run. One that applies nowhere is refused.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence

from testtime.core.errors import BadInput, unknown_name
from testtime.core.registry import names
from testtime.core.strings import Described, fields_of, held_by, own_keys, quoted, several

DEFAULT_GRID: Mapping[str, tuple[str, ...]] = {"n": ("1", "2", "4", "8", "16"), "max_n": ("8", "16")}
"""The values of a setting that a component needs and nobody gave."""
Chosen = Mapping[str, Sequence[str]]
"""Kind → selected components as texts."""


def setting_fields(kinds: Sequence[str]) -> dict[str, str]:
    """Every setting of every component of these kinds and its sentence, led by the components that have it."""
    holders: dict[str, list[str]] = {}
    says: dict[str, str] = {}
    for kind in kinds:
        for name in names(kind):
            for key, (_, _, sentence) in fields_of(kind, name).items():
                holders.setdefault(key, []).append(name)
                says.setdefault(key, sentence)
    return {key: f"{', '.join(holders[key])}: {says[key]}" for key in sorted(holders)}


def up_to(most: int) -> Mapping[str, tuple[str, ...]]:
    """The usual settings without those that ask for more draws than there are; that many where all of them do.

    >>> up_to(4)
    {'n': ('1', '2', '4'), 'max_n': ('4',)}
    """
    few = {key: tuple(value for value in usual if int(value) <= most) for key, usual in DEFAULT_GRID.items()}
    return {key: values or (str(max(most, 1)),) for key, values in few.items()}


def grid(
    chosen: Chosen, settings: Mapping[str, Sequence[str]], usual: Mapping[str, tuple[str, ...]] = DEFAULT_GRID
) -> dict[str, list[str]]:
    """Components and settings as the texts they are shorthand for. Raises BadInput for a setting that applies nowhere.

    A setting of a held component (a stopping rule's) applies only where that one is chosen. A setting that takes
    several values takes all that are given. `usual` stands for what is needed and not given.

    >>> grid({"policy": ["sc_fixed", "adaptive_margin:max_n=8"]}, {"n": ["1", "2"], "p1": [".8"]})
    {'policy': ['sc_fixed:n=1', 'sc_fixed:n=2', 'adaptive_margin:max_n=8,p1=.8']}
    """
    used: set[str] = set()
    texts = {
        kind: list(dict.fromkeys(text for one in given for text in _variants(kind, one, settings, usual, used)))
        for kind, given in chosen.items()
    }
    for key in settings:
        if key not in used:
            raise _applies_nowhere(key, chosen)
    return texts


def single(kind: str, component: str, settings: Mapping[str, str | None]) -> str:
    """The one component that a text and settings of one value each, None where not given, stand for. Raises BadInput.

    >>> single("policy", "certified", {"max_n": "40", "delta": ".05"})
    'certified:max_n=40,delta=.05'
    """
    given = {key: [value] for key, value in settings.items() if value is not None}
    return grid({kind: [component]}, given)[kind][0] if given else component


def left_open(kind: str, component: str) -> dict[str, Described]:
    """The settings that a text does not say."""
    name, said = _said(component)
    return {key: described for key, described in fields_of(kind, name).items() if key not in said}


def _variants(
    kind: str,
    component: str,
    settings: Mapping[str, Sequence[str]],
    usual: Mapping[str, tuple[str, ...]],
    used: set[str],
) -> list[str]:
    """One text for each combination of what the component leaves open."""
    name, said = _said(component)
    known = fields_of(kind, name)
    open_keys = [key for key in known if key not in said]
    choices = {key: _values(key, known[key], settings, usual) for key in open_keys}
    all_at_once = several(kind, name)
    texts = []
    for head, foreign in _held(kind, name, said, choices, used):
        axes = {key: values for key, values in choices.items() if values and key not in foreign}
        used |= axes.keys() & settings.keys()
        axes = {key: (f"({','.join(values)})",) if key in all_at_once else values for key, values in axes.items()}
        for values in itertools.product(*axes.values()):
            pairs = head + [f"{key}={value}" for key, value in zip(axes, values, strict=True)]
            texts.append(f"{component}{',' if said else ':'}{','.join(pairs)}" if pairs else component)
    return texts


def _values(
    key: str, described: Described, settings: Mapping[str, Sequence[str]], usual: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """What was given for a setting, or what stands for it where the component needs it."""
    needed = usual.get(key, ()) if described[1] is None else ()
    given = tuple(settings.get(key, needed))
    if described[0] in (int, float) and (joined := [one for one in given if len(re.split(r"[,\s]+", one.strip())) > 1]):
        apart = " ".join(re.split(r"[,\s]+", joined[0].strip()))
        raise BadInput(f"--{key} {joined[0]!r} is no number", mend=f"give several values apart: --{key} {apart}")
    return tuple(one if one.startswith('"') else quoted(one) for one in given) if described[0] is str else given


def _held(
    kind: str, name: str, said: Mapping[str, str], choices: dict[str, tuple[str, ...]], used: set[str]
) -> list[tuple[list[str], set[str]]]:
    """For each held component to be chosen: (how the text begins, settings of others of its kind)."""
    held = held_by(kind, name)
    if held is None:
        return [([], set())]
    inner, key, usual = held
    theirs = own_keys(inner)
    given = choices.pop(key, ())
    used |= {key} if given else set()
    every = set().union(*theirs.values())
    chosen = (said[key],) if key in said else given or ("",)
    return [
        ([f"{key}={one}"] if one and key not in said else [], every - theirs.get(one or usual, set())) for one in chosen
    ]


def _said(component: str) -> tuple[str, dict[str, str]]:
    """The name of a text and the settings written in it; `strings.parse` judges them."""
    name, _, rest = component.partition(":")
    plain = re.sub(r"\([^()]*\)", "()", re.sub(r'"(\\.|[^"\\])*"', '""', rest))
    pairs = (part.partition("=") for part in plain.split(",") if "=" in part)
    return name.strip(), {key.strip(): value.strip() for key, _, value in pairs}


def _applies_nowhere(key: str, chosen: Chosen) -> BadInput:
    """Why a setting cannot be used, and where it could be."""
    if any(key in _said(text)[1] for texts in chosen.values() for text in texts):
        return BadInput(f"{key} is already said by the {_words(chosen)} given", mend="say it in one place")
    every = [(kind, name) for kind in chosen for name in names(kind)]
    owners = [name for kind, name in every if key in fields_of(kind, name)]
    if not owners:
        return unknown_name("setting", key, {known for kind, name in every for known in fields_of(kind, name)})
    by = {f" with --{held[1]} {' or '.join(inner)}" for held, inner in _holders(key, every) if inner}
    return BadInput(
        f"{key} is a setting of no selected {_words(chosen, 'or')}",
        mend=f"it belongs to {' or '.join(owners)}{''.join(by)}",
    )


def _holders(key: str, every: Sequence[tuple[str, str]]) -> list[tuple[tuple[str, str, str], list[str]]]:
    """The held components that have a setting, by what holds them."""
    held = {one for kind, name in every if (one := held_by(kind, name))}
    return [(one, [name for name, keys in own_keys(one[0]).items() if key in keys]) for one in held]


def _words(chosen: Chosen, last: str = "and") -> str:
    kinds = list(chosen)
    return kinds[0] if len(kinds) == 1 else f"{', '.join(kinds[:-1])} {last} {kinds[-1]}"
