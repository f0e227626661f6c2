"""Four draws share one request: its prompt is billed once, and each row knows what it would have cost alone."""

from __future__ import annotations

from pathlib import Path

from harness import finish, lane, plan, server, survives

from testtime.decoding.plain import Plain
from testtime.engine.plan import Plan
from testtime.meters.price import Price, Prices


def shape(folder: Path, due: int = 4) -> Plan:
    price = Prices({"scripted:1": Price(prompt=1e6, completion=1e4)})
    return plan(server(folder), [lane(Plain(), due, "plain")], price=price)


def test_four_draws_are_one_call_and_the_prompt_is_billed_once(tmp_path: Path) -> None:
    whole = survives(shape, tmp_path)
    assert whole.calls.height == whole.served == 3
    prompt = 5  # what is 0 plus 0
    assert whole.calls["prompt_tokens"].to_list() == [prompt] * 3
    assert whole.rows["prompt_tokens"].to_list() == [prompt] * 12
    assert whole.rows["completion_tokens"].sum() == whole.calls["completion_tokens"].sum()
    paid = prompt / 4 + whole.rows["completion_tokens"] / 100
    assert (whole.rows["paid_usd"] - paid).abs().max() < 1e-12


def test_more_draws_ask_only_for_those_missing(tmp_path: Path) -> None:
    before = finish(shape, tmp_path / "grown")
    after = finish(lambda folder: shape(folder, due=7), tmp_path / "grown")
    at_once = finish(lambda folder: shape(folder, due=7), tmp_path / "at once")
    assert (before.served, after.served, after.finished.kept) == (3, 6, 12)
    assert after.rows["candidate_text"].equals(at_once.rows["candidate_text"])
    assert after.rows.filter(after.rows["candidate_idx"] < 4)["candidate_text"].equals(before.rows["candidate_text"])
