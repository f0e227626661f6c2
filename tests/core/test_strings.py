"""Proves that a policy and its text are the same thing, and that a wrong text is one line saying how to mend it."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testtime.core.errors import BadInput, Refused
from testtime.core.registry import names
from testtime.core.strings import fields_of, parse, setting, text_of
from testtime.grid import grid

TEXTS = [
    "sc_fixed:n=8",
    "sc_fixed:n=3,ties=first",
    "adaptive_margin:stop_rule=sprt,p1=0.7,error=0.05,max_n=16",
    "adaptive_margin:stop_rule=beta,threshold=0.95,max_n=40",
    "adaptive_margin:stop_rule=share,threshold=0.7,max_n=8,min_samples=1,curtail=false",
    "adaptive_margin:stop_rule=window,width=5,max_n=40",
    "adaptive_margin:stop_rule=lossless,max_n=40",
    "adaptive_margin:stop_rule=entropy,threshold=0.25,max_n=40",
    "adaptive_margin:stop_rule=dirichlet,threshold=0.95,max_n=40",
    "adaptive_margin:stop_rule=margin,threshold=1,max_n=40",
    "best_of_n:n=8,by=rm_score",
    "best_of_n:n=8,by=oracle(is_verified)",
    "best_of_n:n=8,by=f(a,b),ties=first",
    "weighted:n=8,by=confidence,temperature=0.5",
    "weighted:n=8,by=confidence,keep=0.1",
    "deepconf:by=confidence,max_n=40,warmup=8,keep=0.5",
    "curtail:max_n=40,epsilon=0.01,over=shares",
    "certified:max_n=40,delta=0.1",
    "bayes:max_n=40,agreement=0.999",
    "bayes:max_n=40,prior=(1:0:0.5,0.6:0.4:0.5)",
    "batch_sequential:max_n=40,round_cost=4,prior=(learn)",
    "greedy_budget:mean_n=3.5,prior=(learn),by=completion",
    "greedy_budget:mean_n=50,max_n=60,rank=blend",
    "cascade:n=3,agree=1,large_n=5",
]


@pytest.mark.parametrize("text", TEXTS)
def test_the_canonical_text_is_printed_as_it_is_read(text: str) -> None:
    policy = parse("policy", text)
    assert f"{policy.name}:{setting(policy)}" == text


@given(st.sampled_from(["share", "margin", "entropy", "beta"]), st.floats(0.001, 0.999), st.integers(1, 500))
def test_a_text_is_read_back_as_the_same_policy(rule: str, threshold: float, max_n: int) -> None:
    policy = parse("policy", f"adaptive_margin:stop_rule={rule},threshold={threshold},max_n={max_n}")
    assert parse("policy", f"adaptive_margin:{setting(policy)}") == policy


def test_the_default_rule_and_order_and_spaces_do_not_matter() -> None:
    assert parse("policy", " adaptive_margin: max_n = 16 ,stop_rule=sprt") == parse(
        "policy", "adaptive_margin:max_n=16"
    )
    assert parse("policy", "adaptive_margin:stop_rule=beta,threshold=.95,max_n=40") == parse("policy", TEXTS[3])


def test_share_waits_for_three_unless_told_otherwise() -> None:
    assert parse("policy", "adaptive_margin:stop_rule=share,max_n=8").floor == 3
    assert parse("policy", "adaptive_margin:stop_rule=share,max_n=2").floor == 2
    assert parse("policy", "adaptive_margin:stop_rule=share,max_n=8,min_samples=1").floor == 1
    assert parse("policy", "adaptive_margin:stop_rule=beta,max_n=8").floor == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sc_fixd:n=8", "did you mean sc_fixed"),
        ("sc_fixed:m=8", "unknown setting of sc_fixed 'm'"),
        ("adaptive_margin:max_n=8,min_sample=2", "did you mean min_samples"),
        ("adaptive_margin:stop_rule=bta,max_n=8", "did you mean beta"),
        ("sc_fixed", "add n="),
        ("sc_fixed:", "add n="),
        ("best_of_n:n=4", "add by="),
        ("sc_fixed:n=four", "n=four cannot be; expected a whole number at least 1"),
        ("sc_fixed:n=4.5", "expected a whole number at least 1"),
        ("sc_fixed:n=0", "expected a whole number at least 1"),
        ("sc_fixed:n=-3", "expected a whole number at least 1"),
        ("sc_fixed:n", "'n' is not key=value"),
        ("sc_fixed:n=", "is not key=value"),
        ("sc_fixed:n=2,n=3", "n is given twice"),
        ("sc_fixed:n=99999999999999999999", "at least 1 and at most 100,000"),
        ("adaptive_margin:max_n=1000000", "at least 1 and at most 100,000"),
        ("sc_fixed:n=2,ties=coin", "expected uniform or first"),
        ("adaptive_margin:max_n=8,curtail=perhaps", "expected true or false"),
        ("adaptive_margin:max_n=4,min_samples=8", "min_samples=8 is more than max_n=4"),
        ("adaptive_margin:stop_rule=beta,threshold=1.2,max_n=8", "expected a number above 0 and below 1"),
        ("adaptive_margin:stop_rule=share,threshold=0,max_n=8", "expected a number above 0 and at most 1"),
        ("adaptive_margin:max_n=8,p1=.5", "expected a number above 0.5 and below 1"),
        ("adaptive_margin:max_n=8,p1=nan", "p1=nan"),
        ("adaptive_margin:max_n=8,threshold=.9", "threshold is no setting of stop_rule=sprt, which has error, p1"),
        ("adaptive_margin:stop_rule=lossless,width=3,max_n=8", "or choose stop_rule=window"),
        ("adaptive_margin:stop_rule=lossless,curtail=false,max_n=8", "use sc_fixed:n=8"),
        ("best_of_n:n=4,by=oracle(is_verified", "parentheses do not match"),
        ("weighted:n=4,by=s,temperature=0", "above 0"),
        ("", "unknown policy ''"),
    ],
)
def test_a_wrong_text_is_one_line_with_the_mend(text: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse("policy", text)
    line = str(caught.value)
    assert says in line
    assert text.strip() in line
    assert "\n" not in line


def test_a_column_that_saw_the_gold_must_be_named_an_oracle() -> None:
    with pytest.raises(Refused, match=r"by=oracle\(is_verified\)"):
        parse("policy", "best_of_n:n=4,by=is_verified")
    with pytest.raises(Refused, match=r"oracle\(verification_confidence\)"):
        parse("policy", "weighted:n=4,by=verification_confidence")
    assert parse("policy", "best_of_n:n=4,by=oracle(is_verified)").needs == {"oracle(is_verified)"}


def said_of(text: str) -> str:
    """The error's text, or nothing. Any other error fails the test."""
    try:
        parse("policy", text)
    except BadInput as error:
        return str(error)
    return ""


@given(st.text(max_size=60))
def test_any_text_gives_a_policy_or_one_line(text: str) -> None:
    assert "\n" not in said_of(text)


@given(st.text(alphabet="=,().:1n max_tiesstop_ruleba", max_size=40))
def test_any_settings_give_a_policy_or_one_line(text: str) -> None:
    for name in ("sc_fixed", "adaptive_margin", "best_of_n"):
        assert "\n" not in said_of(f"{name}:{text}")


def test_fields_of_names_every_key_that_is_read() -> None:
    known = fields_of("policy", "adaptive_margin")
    assert {"stop_rule", "max_n", "min_samples", "curtail", "ties", "threshold", "p1", "error", "width"} == known.keys()
    assert known["max_n"][:2] == (int, None)
    assert known["p1"][:2] == (float, 0.7)
    assert known["curtail"][:2] == (bool, True)
    assert known["stop_rule"][:2] == (str, "sprt")
    assert "beta (0.95)" in known["threshold"][2]
    for name in names("policy"):
        assert all(sentence for _, _, sentence in fields_of("policy", name).values())


def test_every_text_here_covers_every_policy_and_rule() -> None:
    policies = [parse("policy", text) for text in TEXTS]
    assert {policy.name for policy in policies} == set(names("policy"))
    rules = {policy.rule.name for policy in policies if "rule" in {f.name for f in fields(policy)}}  # type: ignore[attr-defined, arg-type]
    assert rules == set(names("stopping rule"))


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12))
def test_any_text_is_read_back_as_it_was_said(text: str) -> None:
    """Commas, quotation marks, parentheses, blanks at the ends and line breaks among them."""
    made = parse("decoding", "budget:force_continue=x")
    made = replace(made, force_continue=text, budget=64)
    assert parse("decoding", text_of(made)) == made


def test_a_text_with_a_comma_stands_in_quotation_marks() -> None:
    text = 'budget:force_continue="Hmm, but \\"wait\\" (so)",budget=8'
    made = parse("decoding", text)
    assert made.force_continue == 'Hmm, but "wait" (so)'
    assert text_of(made) == text
    with pytest.raises(BadInput, match="quotation marks do not match"):
        parse("decoding", 'budget:force_continue="Hmm, but')
    with pytest.raises(BadInput, match="is no text in quotation marks"):
        parse("decoding", 'budget:force_continue="a"b')


def test_a_flag_with_a_comma_is_one_setting() -> None:
    (text,) = grid({"decoding": ["budget:budget=8"]}, {"force_continue": ["Hmm, but"]})["decoding"]
    assert parse("decoding", text).force_continue == "Hmm, but"
    (kept,) = grid({"decoding": [text]}, {"continuations": ["2"]})["decoding"]
    assert parse("decoding", kept).continuations == 2
