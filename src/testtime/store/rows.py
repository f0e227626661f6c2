"""From records to rows: what a finished candidate, or an attempt at a call, is in Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from testtime.core.records import Arm, Call, Candidate, Map, Problem, Verdict, canonical
from testtime.core.spend import Spend, add
from testtime.store.codec import SURROGATE, dumps, encode
from testtime.store.messages import output_messages

OF_DATASET = ("category", "source_dataset", "source_metadata", "reasoning_mode")
"""Columns that a task fills in by fields of these names."""
SHORT, THOUGHT = 50, 100
"""Characters below which an answer is short, and above which reasoning is substantial."""


def call_row(call: Call) -> dict[str, Any]:
    """A row of calls.parquet."""
    spend = call.spend
    return {
        "key": call.key,
        "role": call.role,
        "model": call.model,
        "serves": list(call.serves),
        "attempt": call.attempt,
        "status": call.status,
        "prompt_tokens": spend.prompt,
        "cached_tokens": spend.cached,
        "completion_tokens": spend.completion,
        "reasoning_tokens": spend.reasoning,
        "seconds": spend.seconds,
        "usd": spend.usd,
        "joules": spend.joules,
        "started": call.started,
        "ended": call.ended,
        "why": call.why,
    }


def candidate_row(
    candidate: Candidate,
    problem: Problem,
    arm: Arm,
    answered: tuple[str | None, str | None],
    verdicts: Sequence[Verdict] = (),
    more: Map | None = None,
) -> dict[str, Any]:
    """A row of candidates.parquet.

    `answered` is what the task read from the text: the answer as printed, and its key. Of the verdicts,
    those of the stages refusal, persona and outputs fill their own columns, the first other one `is_verified`; every
    number in a verdict's `columns` is a score column of that name. `more` holds what the records do not say
    (provider, timestamp, paid_usd, input_messages, …) and wins.
    """
    sampling = arm.sampling
    return {
        "arm": arm.label,
        "query_id": problem.query_id,
        "candidate_idx": candidate.candidate_idx,
        "split": problem.split,
        **{name: _of_dataset(problem, name) for name in OF_DATASET},
        "cluster": problem.cluster,
        "question": problem.question,
        "ground_truth_answer": problem.reference,
        "output_messages": _json(output_messages(candidate)),
        "candidate_text": candidate.text,
        "parts": _json([encode(part) for part in candidate.parts]),
        "answer": answered[0],
        "answer_key": answered[1],
        "finish_reason": candidate.finish,
        "error": candidate.error,
        "facts": canonical(candidate.facts) if candidate.facts else None,
        "is_retry": candidate.retry_of is not None,
        "retry_of_candidate_idx": candidate.retry_of,
        "retry_reason": candidate.facts.get("retry_reason"),
        "model": model_of(arm),
        "temperature": sampling.get("temperature"),
        "temperature_requested": sampling.get("temperature_requested"),
        "max_tokens": sampling.get("max_tokens"),
        "generation_seed": candidate.seed,
        "config_hash": arm.id,
        "calls": list(candidate.calls),
        **_cost(candidate.alone),
        **_tools(candidate),
        **_quality(candidate, answered[0]),
        **verdict_columns(verdicts),
        **(more or {}),
    }


def _of_dataset(problem: Problem, name: str) -> str | None:
    """What the dataset says of a problem, as text."""
    value = problem.fields.get(name)
    return None if value is None else str(value)


def model_of(arm: Arm) -> str:
    """The arm's model; several roles' models are joined by "+"."""
    return "+".join(dict.fromkeys(arm.models.values()))


def _json(value: object) -> str:
    """JSON text that Parquet can hold: a lone surrogate stays as its escape, so nothing is lost."""
    text = dumps(value).decode("utf-8", "surrogatepass")
    return SURROGATE.sub(lambda lone: f"\\u{ord(lone[0]):04x}", text)


def _cost(alone: Mapping[str, Spend]) -> dict[str, Any]:
    """What the candidate would have cost by itself: all roles together, and each."""
    spend = add(alone.values()) if alone else Spend()
    return {
        "prompt_tokens": spend.prompt,
        "cached_tokens": spend.cached,
        "completion_tokens": spend.completion,
        "reasoning_tokens": spend.reasoning,
        "latency_s": spend.seconds,
        "cost_usd": spend.usd,
        "joules": spend.joules,
        "alone": canonical({role: encode(one) for role, one in alone.items()}) if alone else None,
    }


def _tools(candidate: Candidate) -> dict[str, Any]:
    """The tool columns; null where no tool was called, but for how often where the decoding has tools."""
    trace = [{"kind": part.kind, "text": part.text} for part in candidate.parts if part.kind in ("call", "result")]
    facts = candidate.facts
    counts = {name: facts.get(name) for name in ("tool_iterations", "tool_calls_total")}
    if not trace:
        return counts
    calls, sources = sum(item["kind"] == "call" for item in trace), facts.get("mock_sources")
    return {
        "tool_trace": _json(trace),
        **counts,
        "tool_calls_total": facts.get("tool_calls_total", calls),
        "mock_sources": canonical(sources) if sources is not None else None,
    }


def _quality(candidate: Candidate, answer: str | None) -> dict[str, Any]:
    """How long and how whole the text is, in characters; null for a draw that failed."""
    if candidate.error is not None:
        return {}
    whole, said = len(candidate.text), len(answer or "")
    thinking = [len(part.text) for part in candidate.parts if part.kind == "thinking"]
    reasoning = sum(thinking) if thinking else max(whole - said, 0)
    return {
        "quality_answer_length": said,
        "quality_reasoning_length": reasoning,
        "quality_total_response_length": whole,
        "quality_has_reasoning": reasoning > 0,
        "quality_is_short_answer": said < SHORT,
        "quality_is_substantive": reasoning > THOUGHT or said > SHORT,
        "quality_is_empty": said == 0,
        "quality_completeness_score": ((reasoning > 0) + (said > 0)) / 2,
    }


def verdict_columns(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """What a candidate's verdicts say, by column; of two that fill one, the first."""
    out: dict[str, Any] = {}
    for verdict in verdicts:
        out |= {name: value for name, value in verdict.columns.items() if name not in out}
        if verdict.stage == "refusal":
            out |= {"refusal_is_refusal": verdict.value, "refusal_confidence": verdict.confidence}
        elif verdict.stage == "persona":
            out |= {"persona_score": verdict.score, "persona_confidence": verdict.confidence}
            out |= {"persona_judge_reasoning": verdict.explanation}
        elif verdict.stage != "outputs" and "is_verified" not in out:
            out |= {
                "is_verified": verdict.value,
                "verification_confidence": verdict.confidence,
                "verification_explanation": verdict.explanation,
                "verification_method": verdict.method,
                "verification_verifier_name": verdict.stage,
                "verification_saw_reference": verdict.gold,
            }
            for name in ("verification_llm_judge_used", "verification_llm_judge_failed"):
                out.setdefault(name, False)  # so that the mean of the column is the judge's share
    return out
