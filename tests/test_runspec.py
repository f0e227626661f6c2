"""What a run is asked is one spec, however it is spelt; what shapes a draw is in its digest and nothing else is;
and a folder grows to the union of what it was asked for, or refuses by the name of what differs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from testtime.core.errors import BadInput
from testtime.runspec import KEY, RunSpec, differing, digest_of, key_of, resolved_yaml, run_spec, specs_of, together

LEAST = {"model": "pocket-m", "dataset": "pocket-math"}
OTHER: dict[str, Any] = {
    "model": "m", "provider": "vllm", "generator": "claude", "dataset": "gsm8k", "splits": ["train"],
    "dataset_path": Path("d"), "max_queries": 3, "sample": 4, "start_index": 2, "shard": "1/3",
    "policies": ["sc_fixed:n=3"], "num_candidates": 9, "prompt": "{question}", "temperature": 0.1, "top_p": 0.5,
    "max_tokens": 7, "seed": 5,
    "live": True, "measure_energy": True, "concurrency": 2, "out_dir": Path("o"), "run": "r", "notes": "why",
    "env_file": Path("e"), "prices": Path("p"), "base_url": ["http://b/v1"], "serve": "vllm", "tensor_parallel": 2,
    "max_model_len": 9,
    "gpu_memory_utilization": 0.5, "dtype": "float16", "quantization": "4bit", "device": "cpu", "batch_size": 3,
    "leave_core_free": True,
    "api": "chat", "timeout": 1.5, "stream": True, "send_seed": False,
    "llm_judge_fallback": True, "judge_threshold": 0.5, "judge_audit": 0.5,
    "refusal_budget": 5, "persona_judge": True,
    "requests_per_minute": 60.0, "tokens_per_minute": 1e5, "retry_failed": "all", "max_cost": 1.5,
    "max_total_tokens": 10**6, "max_seconds": 60.0, "output": Path("p.parquet"),
    "model_digest": "ab", "variant": "seed=1", "config_file": "x.yaml",
    "batch": True, "expect_tokens": 99.0, "pilot": Path("q"),
    "oracle_model": "l", "judge_model": "j", "mock_model": "k", "persona": "a cat",
    "sandbox": "docker", "structured_output": True, "streaming": False, "decoding": ["guided:c=1"],
}  # fmt: skip
"""A value for each field that is not its default."""


def test_the_defaults_are_the_promised_ones() -> None:
    spec = run_spec(LEAST)
    assert spec == RunSpec(**LEAST)
    assert (spec.temperature, spec.top_p, spec.max_tokens, spec.seed) == (None, None, 512, 0)
    assert spec.policies == ("sc_fixed", "adaptive_margin")
    assert (spec.splits, spec.out_dir, spec.max_queries) == (("test",), Path("results"), None)


def test_every_spelling_is_one_spec_as_flags_and_as_a_file(tmp_path: Path) -> None:
    long = {
        "model_name": "m", "dataset_name": "d", "split": "test", "max_examples": 5, "num_completions": 4,
        "max_new_tokens": 64, "sc_n": [1, 2], "adaptive_max_n": 8,
    }  # fmt: skip
    short = {
        "model": "m", "dataset": "d", "splits": ["test"], "max_queries": 5, "num_candidates": 4, "max_tokens": 64,
        "n": ["1", "2"], "max_n": "8",
    }  # fmt: skip
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(long))
    assert run_spec(long) == run_spec(short) == run_spec({}, path)
    assert run_spec({"max_queries": 6, "n": ["4"]}, path) == run_spec({**short, "max_queries": 6, "n": ["4"]})


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"dataset": "d"}, "no model is given; add --model"),
        ({**LEAST, "max_tokens": 10**26}, "--max_tokens: input should be less than"),
        ({**LEAST, "shard": "5"}, "--shard: .*; as in 1/4"),
        ({**LEAST, "temperature": -1.0}, "--temperature: input should be greater than or equal to 0"),
        ({**LEAST, "temperature": float("nan")}, "--temperature: "), ({**LEAST, "top_p": 0.0}, "--top_p: "),
        ({**LEAST, "max_queries": 0}, "--max_queries: "), ({**LEAST, "max_queries": "5"}, "--max_queries: "),
        ({**LEAST, "generator": "clod"}, "--generator: "), ({**LEAST, "live": "yes"}, "--live: "),
        ({**LEAST, "temprature": 1}, "unknown flag 'temprature'; did you mean temperature"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_one_line_naming_its_flag(flags: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        run_spec(flags)
    assert "\n" not in str(caught.value)


def test_a_resolved_spec_goes_to_a_file_and_comes_back_unchanged(tmp_path: Path) -> None:
    spec = RunSpec(**{**LEAST, **OTHER})
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(resolved_yaml(spec)))
    assert run_spec({}, path) == spec
    nulls = resolved_yaml(RunSpec(**LEAST))
    assert {key for key, value in nulls.items() if value is None} >= {"max_queries", "sample", "run"}
    path.write_text(yaml.safe_dump(nulls))
    assert run_spec({}, path) == RunSpec(**LEAST)


@pytest.mark.parametrize("field", sorted(RunSpec.model_fields.keys() - {"settings"}))
def test_the_digest_is_of_what_shapes_a_draw_and_of_nothing_else(field: str) -> None:
    spec, other = RunSpec(**LEAST), RunSpec(**{**LEAST, field: OTHER[field]})
    assert other != spec
    assert (digest_of(other) != digest_of(spec)) == (field in KEY)
    assert len(differing(spec, other)) == (field in KEY)
    if field in KEY:
        with pytest.raises(BadInput, match=rf"there: these draws were made otherwise: {field} is .* there, .* here; "):
            together(spec, other, where="there")


extents = st.builds(
    lambda splits, most, drawn, policies: RunSpec(
        **LEAST, splits=splits, max_queries=most, num_candidates=drawn, policies=policies
    ),
    st.lists(st.sampled_from("abc"), min_size=1, unique=True),
    st.none() | st.integers(1, 9),
    st.none() | st.integers(1, 9),
    st.lists(st.sampled_from(["sc_fixed:n=1", "sc_fixed:n=2", "sc_fixed:n=3"]), min_size=1, unique=True),
)


@given(extents, extents)
def test_a_folder_grows_to_the_union(first: RunSpec, second: RunSpec) -> None:
    both, other = together(first, second, where=""), together(second, first, where="")
    assert set(both.splits) == {*first.splits, *second.splits} == set(other.splits)
    assert set(both.policies) == {*first.policies, *second.policies} == set(other.policies)
    assert both.max_queries == other.max_queries
    assert (both.max_queries or 99) == max(first.max_queries or 99, second.max_queries or 99)
    assert (both.num_candidates or 0) == max(first.num_candidates or 0, second.num_candidates or 0)
    assert together(both, second, where="") == both
    assert key_of(both) == key_of(first)


@pytest.mark.parametrize("flags", [{"provider": "pocket", "model": "pocket-m"}, {"model": "pocket:pocket-m"}])
def test_who_serves_the_model_of_a_flag_is_not_asked_of_the_file(tmp_path: Path, flags: dict[str, str]) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("model: gpt-4o\ngenerator: openai\ndataset: pocket-math\n")
    (spec,) = specs_of(flags, file)
    assert spec.generator is None
    assert spec.model == flags["model"]
    assert specs_of({}, file)[0].generator == "openai"


def test_a_value_given_twice_is_one_run() -> None:
    asked = {"model": "pocket-s", "dataset": "pocket-math", "temperature": [0.5, 0.8, 0.5]}
    assert [spec.temperature for spec in specs_of(asked)] == [0.5, 0.8]
