"""The table of hosted models is whole: every model has a family, every retired id a successor that is not retired, and
one that has ended is refused in one line on its day and told of before.
"""

from __future__ import annotations

from datetime import date

import pytest

from testtime.core.errors import BadInput
from testtime.core.records import Request
from testtime.models.naming import open_model
from testtime.models.presets import family_of, refuse_retired, retires, table
from testtime.models.terms import why_not

PROVIDERS = sorted({row.provider for row in table().families})


def test_every_model_has_a_family_and_the_last_row_takes_what_no_other_does() -> None:
    for provider in PROVIDERS:
        assert family_of(provider, "a-model-of-next-year").models == ("*",)
        assert [row for row in table().families if row.provider == provider][-1].models == ("*",)


def test_rows_do_not_hide_each_other() -> None:
    for row in table().families:
        for pattern in row.models:
            name = pattern.replace("*", "x") if pattern != "*" else "a-model-of-next-year"
            assert family_of(row.provider, name) is row, pattern


def test_a_successor_is_of_the_table_and_not_itself_retired() -> None:
    for row in table().retired:
        refuse_retired(row.provider, row.successor, date(2027, 12, 31))
        if row.provider in PROVIDERS:
            assert family_of(row.provider, row.successor).models != ("*",)


def test_a_retired_id_is_refused_on_its_day_with_its_successor_and_told_of_before() -> None:
    before, day = date(2026, 11, 29), date(2026, 11, 30)
    for name in ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929"):
        assert (retires("anthropic", name, before) or "").endswith("its successor is anthropic:claude-sonnet-5-5")
        refuse_retired("anthropic", name, before)
        assert retires("anthropic", name, day) is None
        with pytest.raises(BadInput) as caught:
            refuse_retired("anthropic", name, day)
        assert str(caught.value) == (
            f"anthropic:{name} retired on 2026-11-30; add --model anthropic:claude-sonnet-5-5, its successor"
        )
    for current in ("claude-opus-5-5", "gemini-2.5-flash-lite", "gpt-6-luna"):
        assert not any(retires(provider, current, before) for provider in PROVIDERS)


@pytest.mark.parametrize("whole", ["anthropic:claude-3-opus-20240229", "gemini:gemini-1.5-pro", "openai:gpt-3.5-turbo"])
def test_a_retired_id_opens_no_model(whole: str) -> None:
    with pytest.raises(BadInput, match="retired on 20"):
        open_model(whole)


def test_claude_on_bedrock_is_told_by_its_maker_s_family() -> None:
    for name in ("us.anthropic.claude-opus-4-5-20251101-v1:0", "anthropic.claude-opus-4-5-v1:0"):
        assert family_of("bedrock", name) is family_of("anthropic", "claude-opus-4-5")
    assert family_of("bedrock", "us.meta.llama3-2-1b-instruct-v1:0").temperature == 0.5


def test_capabilities_follow_from_the_family() -> None:
    assert family_of("anthropic", "claude-opus-5-5").can == {"tools", "schema", "thinking"}
    assert family_of("gemini", "gemini-2.5-flash").can == {
        "n", "seed", "temperature", "tools", "schema", "thinking",
    }  # fmt: skip


@pytest.mark.parametrize("row", table().families, ids=lambda row: f"{row.provider} {row.models[0]}")
def test_a_family_s_own_sampling_is_always_taken(row: object) -> None:
    family = next(one for one in table().families if one is row)
    params = {"temperature": family.temperature, "top_p": family.top_p, "max_tokens": 9}
    assert why_not("it", family, Request([{"role": "user", "content": "hi"}], params=params)) is None
    other = Request([{"role": "user", "content": "hi"}], params={**params, "temperature": 0.25})
    assert (why_not("it", family, other) is None) is family.sampling
