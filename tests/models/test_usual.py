"""What a run samples with where nobody says: our default where all its models take it, else the makers' own."""

from __future__ import annotations

import pytest

from testtime.models.usual import unsent, usual

NOTHING: dict[str, float | None] = {"temperature": None, "top_p": None}
OURS = {"temperature": 0.7, "top_p": 0.95}


@pytest.mark.parametrize("name", ["pocket:pocket-m", "vllm:org/m", "openai:gpt-4o-mini", "gemini:gemini-2.5-flash"])
def test_models_that_sample_take_our_default(name: str) -> None:
    assert usual([name], NOTHING) == OURS
    assert not unsent(name, OURS)


@pytest.mark.parametrize(
    "name",
    [
        "anthropic:claude-opus-5-5",
        "gemini:gemini-3.8-flash",
        "openai:gpt-6-luna",
        "bedrock:us.anthropic.claude-opus-5-5",
    ],
)
def test_models_without_sampling_get_none_and_a_wish_stays_a_wish(name: str) -> None:
    assert usual([name], NOTHING) == NOTHING
    assert usual([name], {"temperature": 0.2, "top_p": None}) == {"temperature": 0.2, "top_p": None}
    assert unsent(name, {"temperature": 1.0, "top_p": 0.5}) == {"temperature"}
    assert not unsent(name, OURS)


def test_a_model_that_takes_one_of_both_gets_one() -> None:
    name = "anthropic:claude-sonnet-4-6"
    assert usual([name], NOTHING) == {"temperature": 0.7, "top_p": None}
    assert usual([name], {"temperature": None, "top_p": 0.9}) == {"temperature": None, "top_p": 0.9}
    assert usual([name], {"temperature": 0.3, "top_p": 0.9}) == {"temperature": 0.3, "top_p": 0.9}  # to be refused
    assert unsent(name, {"temperature": 1.0, "top_p": 0.9}) == {"temperature"}


def test_of_two_models_both_must_take_it() -> None:
    assert usual(["pocket:pocket-s", "anthropic:claude-opus-5-5"], NOTHING) == NOTHING


def test_another_api_of_a_model_has_its_own_rules() -> None:
    assert usual(["openai:gpt-6-luna"], NOTHING, "chat") == OURS
