"""What a user types becomes one spec: names have one canonical form, flags beat the file, and a grid is
exactly the policy strings it stands for. Whatever cannot be meant is refused in one line that names its place.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.core.errors import BadInput
from testtime.core.strings import parse, setting
from testtime.grid import DEFAULT_GRID, grid, setting_fields
from testtime.policies.sc_fixed import ScFixed
from testtime.spec import (
    DEFAULT_POLICIES,
    NAMES,
    ReplaySpec,
    canonical,
    canonical_flags,
    read_yaml,
    replay_spec,
    setting_texts,
)


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "replay.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# ---- names ----
@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("max_examples", "max_queries"), ("num-samples", "max_queries"), ("num_completions", "num_candidates"),
        ("adaptive_max_n", "max_n"), ("max-new-tokens", "max_tokens"), ("model_name", "model"),
        ("dataset-name", "dataset"), ("split", "splits"), ("offset", "start_index"), ("sc-n", "n"), ("seed", "seed"),
    ],
)  # fmt: skip
def test_every_accepted_name_has_one_canonical_form(typed: str, name: str) -> None:
    assert canonical(typed) == name


def test_no_name_means_two_keys() -> None:
    every = [name for entry in NAMES for name in (entry.canonical, *entry.accepted)]
    assert len(every) == len(set(every))


@given(st.lists(st.sampled_from(["--sc_n", "--max-n", "1", "-3", "a b", "--x=1=2", "pool.jsonl"]), max_size=6))
def test_canonical_flags_change_only_the_names_of_flags(argv: list[str]) -> None:
    if len({token.partition("=")[0] for token in argv if token.startswith("--")}) < 4:
        out = canonical_flags(argv)
        assert len(out) == len(argv)
        assert [o for o, a in zip(out, argv, strict=True) if not a.startswith("--")] == [
            a for a in argv if not a.startswith("--")
        ]
        assert canonical_flags(out) == out


@pytest.mark.parametrize(
    "argv", [["--max_n", "8", "--adaptive_max_n", "8"], ["--sc-n", "1", "--sc_n", "2"], ["--split=a", "--splits=a"]]
)
def test_two_spellings_of_one_flag_are_refused(argv: list[str]) -> None:
    with pytest.raises(BadInput, match="two spellings of one flag"):
        canonical_flags(argv)


def test_nothing_after_a_double_dash_is_a_flag() -> None:
    assert canonical_flags(["--sc-n", "1", "--", "--sc-n"]) == ["--n", "1", "--", "--sc-n"]


# ---- the file ----
def test_a_file_holds_canonical_names_and_knows_its_lines(tmp_path: Path) -> None:
    document = read_yaml(write(tmp_path, "pools: a\n\nadaptive-max-n: [4, 8]\n"))
    assert document.values == {"pools": "a", "max_n": [4, 8]}
    assert document.at("max_n").endswith("replay.yaml:3")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\na: 2\n", r"replay.yaml:2: .*'a' is there twice, first on line 1"),
        ("max_n: 1\nadaptive_max_n: 2\n", r"replay.yaml:2: .*two spellings of max_n"),
        ("seed: [1\n", r"replay.yaml:\d+: broken YAML"),
        ("x: {b: 1, b: 2}\n", r"replay.yaml:1: .*'b' is there twice"),
        ("- a\n", r"replay.yaml:1: not a mapping"),
        ("", r"replay.yaml:1: not a mapping"),
        (b"a: \xff\n", r"replay.yaml: not UTF-8 at byte 3"),
        ("a: !!python/object/apply:os.getcwd []\n", r"replay.yaml:1: broken YAML"),
        ("a: " + "[" * 5000 + "\n", r"replay.yaml.*: broken YAML"),
        ("a: " + "9" * 5000 + "\n", r"replay.yaml.*: broken YAML"),
        ("? [1, 2]\n: 3\n", r"replay.yaml:1: broken YAML"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line_naming_its_place(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        read_yaml(write(tmp_path, text))
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_document_or_bad_input(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = write(tmp_path_factory.mktemp("yaml"), data)
    with contextlib.suppress(BadInput):
        assert all(isinstance(key, str) for key in read_yaml(path).values)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none.yaml: no such file"):
        read_yaml(tmp_path / "none.yaml")


# ---- flags over the file ----
def test_flags_beat_the_file_also_when_equal_to_a_default(tmp_path: Path) -> None:
    path = write(tmp_path, "pools: [a]\norders: 7\nsc_n: [1, 2]\nout_csv: f.csv\n")
    default = ReplaySpec.model_fields["orders"].default
    spec = replay_spec({"orders": default, "n": ["4"], "seed": None}, path)
    assert (spec.orders, spec.settings, spec.pools) == (default, {"n": ("4",)}, ("a",))
    assert spec.out_csv == Path("f.csv")
    on = write(tmp_path, "realised: true\n")
    assert replay_spec({}, on).realised
    assert not replay_spec({"realised": False}, on).realised


def test_a_flag_without_a_value_is_refused() -> None:
    with pytest.raises(BadInput, match="--n has no value"):
        replay_spec({"sc_n": []})


def test_without_flags_and_file_the_spec_is_its_defaults() -> None:
    assert replay_spec({"orders": None, "realised": False, "pools": ()}) == ReplaySpec()
    assert ReplaySpec().policies == DEFAULT_POLICIES


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("orderz: 3\n", r"replay.yaml:1: unknown key 'orderz'; did you mean orders"),
        ("seed: 1\norders: many\n", r"replay.yaml:2: orders: input should be a valid integer"),
        ("orders: true\n", r"replay.yaml:1: orders: input should be a valid integer"),
        ("orders: 1\n", r"replay.yaml:1: orders: input should be greater"),
        ("pools: [{a: 1}]\n", r"replay.yaml:1: pools: input should be a valid string"),
        ("settings: {a: 1}\n", r"replay.yaml:1: unknown key 'settings'"),
        ("sc_m: 1\n", r"replay.yaml:1: unknown key 'sc_m'; did you mean sc_n"),
        ("\nsc_n: {a: 1}\n", r"replay.yaml:2: n: .* is no setting; write one value, or a list"),
        ("sc_n: [1, null]\n", r"replay.yaml:1: n: .* is no setting"),
    ],
)
def test_a_wrong_key_or_type_names_file_and_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        replay_spec({}, write(tmp_path, text))


def test_a_wrong_flag_names_the_flag(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"--orders: input should be greater"):
        replay_spec({"orders": 0}, write(tmp_path, "orders: 7\n"))


# ---- the grid ----
def test_the_default_grid_is_the_documented_one() -> None:
    assert grid({"policy": DEFAULT_POLICIES}, {})["policy"] == [
        *(f"sc_fixed:n={n}" for n in (1, 2, 4, 8, 16)),
        *(f"adaptive_margin:max_n={n}" for n in (8, 16)),
    ]
    assert DEFAULT_GRID["n"] == ("1", "2", "4", "8", "16")


def test_a_setting_of_one_rule_applies_to_that_rule_only() -> None:
    settings = setting_texts({"stop_rule": ["beta", "sprt"], "threshold": [0.9, 0.95], "max_n": 8})
    assert sorted(
        setting(parse("policy", text)) for text in grid({"policy": ["adaptive_margin"]}, settings)["policy"]
    ) == [
        "stop_rule=beta,threshold=0.9,max_n=8",
        "stop_rule=beta,threshold=0.95,max_n=8",
        "stop_rule=sprt,p1=0.7,error=0.05,max_n=8",
    ]


def test_what_a_string_says_no_flag_changes() -> None:
    texts = grid({"policy": ["sc_fixed:n=3", "sc_fixed"]}, {"n": ("5",)})["policy"]
    assert texts == ["sc_fixed:n=3", "sc_fixed:n=5"]


@pytest.mark.parametrize(
    ("policies", "settings", "says"),
    [
        (["sc_fixed"], {"threshold": ("1",)}, "threshold is a setting of no selected policy; it belongs to adaptive"),
        (["adaptive_margin"], {"width": ("5",)}, "with --stop_rule window"),
        (["sc_fixed:n=3"], {"n": ("5",)}, "already said"),
        (["sc_fixd"], {}, "did you mean sc_fixed"),
        (["sc_fixed"], {"thresold": ("1",)}, "did you mean threshold"),
    ],
)
def test_a_setting_that_applies_nowhere_is_refused(
    policies: list[str], settings: dict[str, tuple[str, ...]], says: str
) -> None:
    with pytest.raises(BadInput, match=says):
        grid({"policy": policies}, settings)["policy"]


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=4, unique=True),
    st.lists(st.sampled_from(["share", "beta", "sprt", "window", "lossless"]), min_size=1, max_size=3, unique=True),
    st.lists(st.integers(3, 40), min_size=1, max_size=3, unique=True),
)
def test_every_string_of_a_grid_is_a_policy_and_pastes_back(ns: list[int], rules: list[str], most: list[int]) -> None:
    settings = setting_texts({"sc_n": ns, "stop_rule": rules, "adaptive_max_n": most})
    texts = grid({"policy": ["sc_fixed", "adaptive_margin"]}, settings)["policy"]
    assert len(texts) == len(ns) + len(rules) * len(most)
    policies = [parse("policy", text) for text in texts]
    pasted = [parse("policy", f"{policy.name}:{setting(policy)}") for policy in policies]
    assert pasted == policies


# ---- plug-ins ----
@dataclass(frozen=True)
class Patient(ScFixed):
    """A policy of someone else's package, with a setting that no built-in has."""

    patience: int = field(default=2, metadata={"sentence": "rounds to wait"})


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> None:
    def points(group: str) -> dict[str, str]:
        return {"patient": f"{__name__}:Patient"} if group == "testtime.policies" else {}

    monkeypatch.setattr("testtime.core.registry._plugged", points)


@pytest.mark.usefixtures("plugged")
def test_a_plugged_in_policy_has_flags_and_a_grid_like_a_built_in() -> None:
    assert setting_fields(["policy"])["patience"] == "patient: rounds to wait"
    assert replay_spec({"patience": ["1", "3"]}).settings == {"patience": ("1", "3")}
    assert grid({"policy": ["sc_fixed:n=1", "patient"]}, {"patience": ("1", "3"), "n": ("4",)})["policy"] == [
        "sc_fixed:n=1", "patient:n=4,patience=1", "patient:n=4,patience=3",
    ]  # fmt: skip
    with pytest.raises(BadInput, match="it belongs to patient"):
        grid({"policy": ["sc_fixed"]}, {"patience": ("1",)})["policy"]
