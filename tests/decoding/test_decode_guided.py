"""Guided texts: the ends of the scale are the two models themselves, token for token; joints are exact; positions
are real tokens; dice come from the draw's seed; a trigger decides within c and k, and by its own settings only.
"""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import GREEDY, asked, decoding, drawn, model, problems, tokens
from hypothesis import given
from hypothesis import strategies as st

from testtime.core.errors import BadInput, Refused
from testtime.core.records import Completion, Request
from testtime.core.registry import names
from testtime.core.strings import parse, text_of
from testtime.decoding.guided import Guided
from testtime.decoding.plain import Plain
from testtime.decoding.triggers import Moment
from testtime.decoding.triggers.blind import Random
from testtime.decoding.triggers.learned import Learned
from testtime.models.scripted import ALL, Scripted

SHARED = model("pocket-s").vocabulary


def guided(**settings: Any) -> Guided:
    return written(GREEDY, **settings)


def written(sampling: Any, shared: bool = True, **settings: Any) -> Guided:
    text = ",".join(f"{key}={value}" for key, value in settings.items())
    made: Guided = decoding(f"guided:{text}", sampling, shared)
    return made


def test_both_pocket_models_have_one_vocabulary() -> None:
    assert model("pocket-m").vocabulary == SHARED


@pytest.mark.parametrize("shared", [True, False], ids=["by ids", "by text"])
def test_the_ends_of_the_scale_are_the_models_themselves(tmp_path: Path, shared: bool) -> None:
    settings = {
        "base": "c=0,k=10",
        "never": "c=5,k=10,trigger=never",
        "nobody": "c=5,k=0,trigger=always",
        "oracle": "c=inf,k=inf,trigger=never",
        "always 1": "c=inf,k=1,trigger=always",
        "always 7": "c=inf,k=7,trigger=always",
    }
    made = {label: decoding(f"guided:{text}", shared=shared) for label, text in settings.items()}
    found = drawn(tmp_path / "guided", made)
    small = drawn(tmp_path / "s", {"plain": Plain(GREEDY)})["plain"]
    large = drawn(tmp_path / "m", {"plain": Plain(GREEDY)}, roles={"model": "pocket:pocket-m"})["plain"]
    assert [one.text for one in small] != [one.text for one in large]
    for label in ("base", "never", "nobody"):
        assert [tokens(one) for one in found[label]] == [tokens(one) for one in small], label
    for label in ("oracle", "always 1", "always 7"):
        assert [tokens(one) for one in found[label]] == [tokens(one) for one in large], label


def test_whitespace_and_tokens_are_exact_at_the_joints(tmp_path: Path) -> None:
    one = drawn(tmp_path, {"g": guided(c=inf, k=3, step_size=2, trigger="periodic", every=4)})["g"][0]
    pieces = [part.text for part in one.parts]
    assert any(piece.startswith("\n") or piece.endswith("\n") for piece in pieces)
    assert "".join(pieces) == one.text
    written = "".join(SHARED.tokens[token] for token in tokens(one))
    assert written == one.text, "the ids are the text: nothing was cut into tokens anew"


def test_positions_advance_by_real_tokens_and_step_size_is_honoured(tmp_path: Path) -> None:
    found = drawn(tmp_path, {"g": guided(c=3, k=5, step_size=7, trigger="periodic", every=14)}, count=3)["g"]
    for one in found:
        kinds = [(part.kind, part.tokens) for part in one.parts]
        assert kinds[:6] == [
            ("base", 7), ("base", 7), ("oracle", 5), ("base", 7), ("base", 7), ("oracle", 5),
        ]  # fmt: skip
        assert one.facts["cheat_positions"] == [14, 33, 52]
        assert one.facts["consultations"] == 3
        assert one.facts["oracle_tokens"] == 15
        total = one.alone["base"].completion + one.alone["oracle"].completion
        assert total == one.facts["base_tokens"] + one.facts["oracle_tokens"] == sum(n or 0 for _, n in kinds)


def test_the_text_ends_at_the_turn_or_at_its_limit(tmp_path: Path) -> None:
    short = written({**GREEDY, "max_tokens": 33}, c=inf, k=4, trigger="periodic", every=9)
    found = drawn(tmp_path, {"whole": guided(c=2, k=500, trigger="once", at=10), "short": short}, count=2)
    assert {one.finish for one in found["whole"]} == {"stop"}
    assert all(one.text.rstrip().endswith("}") for one in found["whole"])
    for one in found["short"]:
        assert one.finish == "length"
        assert sum(part.tokens or 0 for part in one.parts) == 33


def test_a_full_context_ends_the_text_instead_of_asking_for_ever(tmp_path: Path) -> None:
    def mute(request: Request, seed: int) -> Completion:
        return Completion("", "length", 0)

    server = Scripted(mute, name="s:1", can=ALL)
    made = {"g": written({}, shared=False, c=inf, k=5, trigger="random")}
    (one,) = drawn(tmp_path, made, count=1, models={"s:1": server}, roles={"base": "s:1", "oracle": "s:1"})["g"]
    assert one.finish == "length"
    assert server.calls == 1


def test_dice_are_of_the_draw_and_the_same_again(tmp_path: Path) -> None:
    made = {"g": guided(c=4, k=3, cheat_probability="0.3:1.0")}
    first, again = (drawn(tmp_path / name, made, count=3, due=3)["g"] for name in ("a", "b"))
    assert [one.facts["cheat_positions"] for one in first] == [one.facts["cheat_positions"] for one in again]
    assert len({tuple(one.facts["cheat_positions"]) for one in first}) > 3
    other = drawn(tmp_path / "c", made, count=3, due=3, seed=1)["g"]
    assert [one.facts["cheat_positions"] for one in other] != [one.facts["cheat_positions"] for one in first]


@pytest.mark.parametrize("trigger", ["entropy", "varentropy", "top_prob", "prob_top2_diff", "disagreement"])
def test_a_reading_trigger_hands_over_at_the_very_token(tmp_path: Path, trigger: str) -> None:
    """Up to its first consultation the text is the base's own, and the token proposed there is the first unsure one."""
    threshold = {"entropy": 0.8, "varentropy": 0.8}.get(trigger, 0.5)
    plain = drawn(tmp_path / "s", {"plain": Plain(GREEDY)}, count=12)["plain"]
    found = drawn(tmp_path / "g", {"g": guided(c=1, k=1, trigger=trigger, threshold=threshold)}, count=12)["g"]
    consulted = [(own, one) for own, one in zip(plain, found, strict=True) if one.facts["consultations"]]
    assert consulted
    for own, one in consulted:
        (at,) = one.facts["cheat_positions"]
        assert tokens(one)[:at] == tokens(own)[:at]
        assert one.parts[[part.kind for part in one.parts].index("oracle")].tokens == 1
        assert one.alone["base"].completion == one.facts["base_tokens"] + one.facts["dropped_tokens"]


def test_consultations_are_limited_and_thresholds_move_them(tmp_path: Path) -> None:
    made = {
        f"{threshold}": guided(c=inf, k=1, trigger="entropy", threshold=threshold) for threshold in (0.05, 1.5, 99)
    } | {"two": guided(c=2, k=1, trigger="entropy", threshold=0.05)}
    found = {label: [one.facts["consultations"] for one in ones] for label, ones in drawn(tmp_path, made).items()}
    assert sum(found["0.05"]) > sum(found["1.5"]) >= sum(found["99"]) == 0
    assert max(found["two"]) <= 2


def test_base_and_oracle_are_billed_apart_and_work_is_counted_once(tmp_path: Path) -> None:
    found = drawn(tmp_path, {"d": guided(c=3, k=4, trigger="disagreement", threshold=0.5)})["d"]
    for one in found:
        base, oracle = one.alone["base"], one.alone["oracle"]
        assert oracle.completion == one.facts["oracle_tokens"]
        assert (oracle.prompt or 0) >= (base.prompt or 0) / len(one.parts), "it read what the base proposed"
        whole = sum(part.tokens or 0 for part in one.parts)
        opening = len(model("pocket-s").tokenizer.prompt(asked(problems(1)[0]))) if one is found[0] else 0
        assert opening + whole <= one.facts["base_processed"] + one.facts["oracle_tokens"]
        assert one.facts["base_processed"] <= (base.prompt or 0) + (base.completion or 0)
        assert one.facts["oracle_processed"] <= (oracle.prompt or 0) + (oracle.completion or 0)


def test_kept_prefixes_are_read_once(tmp_path: Path) -> None:
    """Without a consultation the base reads its prompt once and writes the text, in however many steps."""
    found = drawn(tmp_path, {"steps": guided(c=1, k=1, trigger="never"), "one": guided(c=0)}, count=3)
    for steps, one in zip(found["steps"], found["one"], strict=True):
        assert steps.facts["base_processed"] == one.facts["base_processed"]
        assert one.facts["base_processed"] == (one.alone["base"].prompt or 0) + (one.alone["base"].completion or 0)


def test_a_text_joint_restores_trimmed_blanks_and_drops_half_a_character(tmp_path: Path) -> None:
    def script(request: Request, seed: int) -> Completion:
        if len(request.prefix) > 8:
            return Completion(" end", "stop", 1, logprobs=[{" end": -0.1}])
        if request.prefix:
            return Completion("two\ufffd", "length", 2, logprobs=[{" two": -0.1}, {"\ufffd": -0.1}])
        return Completion("one", "length", 2, logprobs=[{" one": -0.1}, {" ": -0.1}])

    server = Scripted(script, name="s:1", can=ALL | {"logprobs"})
    made = {"g": written({"max_tokens": 50}, shared=False, c=1, k=2, step_size=2, trigger="entropy", threshold=99)}
    (one,) = drawn(tmp_path, made, count=1, models={"s:1": server}, roles={"base": "s:1", "oracle": "s:1"})["g"]
    assert one.text == " one  two end"
    assert one.facts["mended_joints"] == 1


def test_what_cannot_be_is_refused() -> None:
    for settings, words in (
        ({"c": -1}, "expected a number at least 0"),
        ({"k": 2.5}, "whole number at least 0, or inf"),
        ({"trigger": "entrpy"}, "did you mean entropy"),
        ({"threshold": 1.0}, "threshold is no setting of trigger=random"),
        ({"cheat_probability": "2"}, "write a number from 0 to 1"),
        ({"trigger": "learned"}, "weights is missing"),
        ({"trigger": "learned", "weights": "entropie:1"}, "did you mean entropy"),
    ):
        with pytest.raises(BadInput, match=words):
            guided(**settings)


def test_a_model_that_cannot_what_the_trigger_needs_is_refused(tmp_path: Path) -> None:
    server = Scripted(["x"], name="s:1", can=frozenset({"continuation"}))
    made = {"g": written({}, shared=False, trigger="entropy")}
    with pytest.raises(Refused, match="needs logprobs"):
        drawn(tmp_path, made, count=1, models={"s:1": server}, roles={"base": "s:1", "oracle": "s:1"})


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 100))
def test_the_chance_to_cheat_moves_evenly_from_start_to_end(start: float, end: float, at: int) -> None:
    found = Random(f"{start}:{end}").chance(at / 100)
    assert found == pytest.approx(start + (end - start) * at / 100)
    assert Random(str(start)).chance(at / 100) == pytest.approx(start)


def test_the_original_schedule_spends_early() -> None:
    """With 0.3 at the start, c consultations are expected within c / 0.3 decisions."""
    rng, trigger = np.random.default_rng(0), Random()
    decisions = []
    for _ in range(400):
        asked = at = 0
        while asked < 5:
            asked += trigger.wants(Moment(10 * at, 5120, asked, 0), rng)
            at += 1
        decisions.append(at)
    assert np.mean(decisions) == pytest.approx(5 / 0.3, abs=0.8)


def test_learned_weighs_its_statistics() -> None:
    trigger = Learned("bias:-1;entropy:2", threshold=0.5)
    rng = np.random.default_rng(0)
    assert trigger.reads == {"entropy"}
    assert trigger.wants(Moment(0, 9, 0, 0, {"entropy": 0.51}), rng)
    assert not trigger.wants(Moment(0, 9, 0, 0, {"entropy": 0.49}), rng)


def test_every_trigger_is_registered_and_described() -> None:
    assert {"random", "entropy", "varentropy", "top_prob", "prob_top2_diff", "disagreement"} <= set(names("trigger"))
    assert {"periodic", "learned", "never", "always"} <= set(names("trigger"))
    assert len(problems(2)) == 2


def test_a_guided_decoding_is_its_text() -> None:
    for text in ("guided:trigger=random", "guided:trigger=entropy,threshold=0.5,c=inf,k=3,step_size=5"):
        assert parse("decoding", text_of(parse("decoding", text))) == parse("decoding", text)
    assert parse("decoding", "guided:c=inf").settings[0]["c"] == "inf", "what a strict reader of JSON can read"


@pytest.mark.parametrize("shared", [True, False])
def test_under_a_budget_the_base_is_made_to_answer_as_by_the_decoding_budget(tmp_path: Path, shared: bool) -> None:
    """The base alone is the decoding `budget` then, which does not count the two tokens that open the thought."""
    made = {f"guided:c=0,budget={tokens + 2}": f"budget:budget={tokens},score=none" for tokens in (20, 60, 400)}
    plain = {text: decoding(text, shared=False) for text in made.values()}
    found = drawn(tmp_path, {**{text: decoding(text, shared=shared) for text in made}, **plain}, count=8)
    for ours, theirs in made.items():
        for one, other in zip(found[ours], found[theirs], strict=True):
            assert one.text.partition("}")[0] == other.text.partition("}")[0]
            assert one.facts["forced"] == (other.facts["forced"] and other.facts["thinking_tokens"] < 400)
            assert one.facts["base_tokens"] <= int(ours.rpartition("=")[2]) + 10


def test_a_budget_counts_the_oracles_tokens_too_and_is_a_limit(tmp_path: Path) -> None:
    text = "guided:trigger=periodic,every=10,c=inf,k=5,budget=40"
    for one in drawn(tmp_path, {"x": decoding(text)}, count=8)["x"]:
        parts = list(one.parts)
        if one.facts["forced"]:
            at = next(at for at, part in enumerate(parts) if part.kind == "forced")
            assert sum(part.tokens or 0 for part in parts[:at]) == 40
            assert [part.kind for part in parts[at + 1 :]] == ["base"]
        assert one.facts["oracle_tokens"] > 0
