"""The columns of the two Parquet files and the keys of their metadata, declared once.

Writers, readers and the reference page derive from these tables. A column whose values are all null
keeps its type. Names follow the files of earlier best-of-N data sets; where those wrote one thing under
two names (`verification_is_verified` beside `is_verified`, `verification_info`, `verification_score`),
only `is_verified`, `verification_confidence` and `verification_explanation` are written here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

VERSION = 1
"""Of the files; another one is refused."""


@dataclass(frozen=True)
class Column:
    """One column: its type, and what it holds, in a sentence."""

    type: pa.DataType
    about: str


_text, _int, _float, _bool = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_texts = pa.list_(_text)

CANDIDATES: Mapping[str, Column] = {
    # which candidate
    "arm": Column(_text, "Label of the arm that drew it; the metadata key `arms` says what the arm is."),
    "query_id": Column(_text, "The problem."),
    "candidate_idx": Column(_int, "Number of the draw under its arm and problem, from 0; retries are numbered after."),
    "split": Column(_text, "Split of the dataset."),
    "category": Column(_text, "Category that the dataset gives the problem."),
    "source_dataset": Column(_text, "Dataset that the problem was really taken from."),
    "source_metadata": Column(_text, "What else the dataset says of the problem, as JSON."),
    "cluster": Column(_text, "Problems of one source share it (a passage, a template): the unit of intervals."),
    "question": Column(_text, "The problem's text."),
    "ground_truth_answer": Column(_text, "Gold answer as the dataset gives it."),
    # what was said
    "input_messages": Column(_text, "Messages sent, as a JSON list of {role, content}."),
    "output_messages": Column(_text, "Messages that came back, as a JSON list of {role, channel, content}."),
    "candidate_text": Column(_text, "All that the model wrote, in order."),
    "parts": Column(_text, "The pieces of the text, by whom and as what they were written, as JSON."),
    "answer": Column(_text, "Final answer as printed in the text."),
    "answer_key": Column(_text, "What is compared in a vote: equal keys are one vote; null abstains."),
    "finish_reason": Column(_text, "Why the text ended: stop, length, tools, refusal, filter, cut or error."),
    "error": Column(_text, "Why the draw failed; null for a draw that did not."),
    "reasoning_mode": Column(_text, "Reasoning mode that the dataset gives the problem (on, off)."),
    "facts": Column(_text, "What the decoding noted of the draw (continuations, consultations, …), as JSON."),
    # how long and how whole the answer is, counted in characters
    "quality_answer_length": Column(_int, "Characters of the final answer."),
    "quality_reasoning_length": Column(_int, "Characters of the thinking; with none marked, of all but the answer."),
    "quality_plan_length": Column(_int, "Characters of the plan, where the output has one."),
    "quality_total_response_length": Column(_int, "Characters of the whole text."),
    "quality_has_reasoning": Column(_bool, "Whether there is any reasoning."),
    "quality_has_plan": Column(_bool, "Whether there is a plan."),
    "quality_is_short_answer": Column(_bool, "Whether the answer is shorter than 50 characters."),
    "quality_is_substantive": Column(_bool, "Whether reasoning exceeds 100 characters or the answer 50."),
    "quality_is_empty": Column(_bool, "Whether there is no answer."),
    "quality_completeness_score": Column(_float, "1 with reasoning and an answer, 0.5 with one of them, else 0."),
    # the first verdicts
    "is_verified": Column(_bool, "Right (true), wrong (false), or could not be told (null)."),
    "verification_confidence": Column(_float, "Confidence of that verdict, 0 to 1."),
    "verification_explanation": Column(_text, "Why, in words."),
    "verification_method": Column(_text, "Which rule of the verifier decided."),
    "verification_verifier_name": Column(_text, "Stage that gave the verdict."),
    "verification_saw_reference": Column(_bool, "Whether that stage saw the gold answer."),
    "verification_llm_judge_used": Column(_bool, "Whether a model judged."),
    "verification_llm_judge_failed": Column(_bool, "Whether the judge was asked and failed."),
    "refusal_is_refusal": Column(_bool, "Whether the text refuses to answer."),
    "refusal_confidence": Column(_float, "Confidence of that, 0 to 1."),
    "refusal_type": Column(_text, "safety, capability or unclear; null for no refusal."),
    "refusal_matched_patterns": Column(_text, "Names of the signs that matched, as a JSON list."),
    "persona_markers": Column(_int, "How many of the persona's marks the text shows; null without marks."),
    "persona_constraint_violations": Column(_int, "How often the text does what the persona must not."),
    "persona_score": Column(_float, "How well the text keeps its persona, 0 to 5."),
    "persona_confidence": Column(_float, "Confidence of that, 0 to 1."),
    "persona_judge_reasoning": Column(_text, "Why, in words."),
    "persona_judge_model": Column(_text, "Model that judged the persona."),
    # a marked retry is not one of the N: such rows lie in retries.parquet alone
    "is_retry": Column(_bool, "Whether this row tries another one again: false, but for all of retries.parquet."),
    "retry_of_candidate_idx": Column(_int, "The candidate it tries again."),
    "retry_reason": Column(_text, "Why it was tried again."),
    # how it was made
    "model": Column(_text, "Model; base and oracle of a guided draw are joined by +."),
    "provider": Column(_text, "Who served it."),
    "temperature": Column(_float, "Sampling temperature; null where none was sent."),
    "temperature_requested": Column(_float, "The one asked for, where it is the model's own, so that none was sent."),
    "max_tokens": Column(_int, "Token limit of the text."),
    "generation_seed": Column(_int, "Seed of the draw."),
    "timestamp": Column(_text, "When it was finished, UTC, ISO 8601."),
    "config_hash": Column(_text, "Digest of the settings that shape it."),
    "harmony_encoding": Column(_text, "Channel format of the model's output, where it has one."),
    "harmony_channels_detected": Column(_bool, "Whether the output had channels."),
    # tools
    "tool_trace": Column(_text, "Calls and results in order, as JSON."),
    "tool_iterations": Column(_int, "Rounds of tool calls."),
    "tool_calls_total": Column(_int, "Tool calls made."),
    "mock_sources": Column(_text, "Where each tool's results came from, as JSON."),
    # what it would have cost alone, and what was really paid
    "prompt_tokens": Column(_int, "Prompt tokens it would have needed alone, cached ones included."),
    "cached_tokens": Column(_int, "Of these, read from the provider's cache."),
    "completion_tokens": Column(_int, "Tokens written, reasoning included."),
    "reasoning_tokens": Column(_int, "Of these, thinking."),
    "latency_s": Column(_float, "Seconds of work."),
    "cost_usd": Column(_float, "US dollars it would have cost alone; null where the price is unknown."),
    "joules": Column(_float, "Energy attributed to it."),
    "paid_usd": Column(_float, "Its share of the dollars really paid; over all rows they sum to the calls'."),
    "alone": Column(_text, "The same costs by role of model, as JSON."),
    "calls": Column(_texts, "Keys of the calls that paid for it."),
}  # fmt: skip
"""candidates.parquet: one row a candidate. Any further column is a score: a number, float64."""

CALLS: Mapping[str, Column] = {
    "key": Column(_text, "Digest of what was asked; attempts at one request share it."),
    "role": Column(_text, "Role the model played: model, base, oracle, judge, mock."),
    "model": Column(_text, "Model asked."),
    "serves": Column(_texts, "Draws or verdicts it was made for."),
    "attempt": Column(_int, "Which try this was, from 1."),
    "status": Column(_text, "ok, failed, cancelled, or sent: it left and nothing came back."),
    "prompt_tokens": Column(_int, "Prompt tokens billed, cached ones included."),
    "cached_tokens": Column(_int, "Of these, read from the provider's cache."),
    "completion_tokens": Column(_int, "Tokens written, reasoning included."),
    "reasoning_tokens": Column(_int, "Of these, thinking."),
    "seconds": Column(_float, "Seconds it took."),
    "usd": Column(_float, "US dollars; null where the price is unknown."),
    "lost": Column(
        _bool,
        "Whether it left and nothing of use came back: sent, cancelled, a broken connection, a reply of no known form.",
    ),
    "tokens_at_most": Column(_int, "Tokens it can have taken at most, where it is lost; null where it had no limit."),
    "usd_at_most": Column(_float, "Dollars it can have cost at most, where it is lost."),
    "joules": Column(_float, "Energy attributed to it."),
    "started": Column(_float, "When it left, seconds since 1970."),
    "ended": Column(_float, "When it came back."),
    "why": Column(_text, "Why it failed."),
}
"""calls.parquet: one row an attempt."""


@dataclass(frozen=True)
class Key:
    """One metadata key: how its bytes are to be read, and what it says."""

    form: Literal["text", "json", "commas"]
    about: str


METADATA: Mapping[str, Key] = {
    "format": Key("text", "testtime.candidates or testtime.calls."),
    "version": Key("json", "Version of the file."),
    "testtime_version": Key("text", "Version of the program that wrote it."),
    "generated_at": Key("text", "When it was written, UTC, ISO 8601."),
    "run": Key("text", "Name of the run."),
    "dataset": Key("text", "Dataset."),
    "splits": Key("commas", "Splits, joined by commas."),
    "provider": Key("text", "Who served the models."),
    "model": Key("text", "Model; several are joined by +."),
    "num_candidates": Key("json", "Draws asked of each problem."),
    "temperature": Key("json", "Sampling temperature; absent where none was sent."),
    "seed": Key("json", "Seed of the run."),
    "total_records": Key("json", "Rows."),
    "total_queries": Key("json", "Problems the run was to draw, drawn or not."),
    "config_file": Key("text", "The configuration it was read from, as it was named; absent without one."),
    "git_commit": Key("text", "Commit that one stood on where it was run; absent outside of a git repository."),
    "config": Key("json", "The whole resolved configuration."),
    "config_hash": Key("text", "Digest of the part of it that shapes results."),
    "arms": Key("json", "The arms, as records."),
    "floor": Key("json", "Arm to the draws every problem was due whatever came out."),
    "grouped": Key("json", "Arm to whether its model serves several draws from one prompt."),
    "policies": Key("json", "Policies that the run executed, as strings."),
    "written_from": Key("text", "Digest of the plan and the journal it was written from."),
    "vote": Key("text", "What counts as one vote, in words."),
    "prices": Key("text", "Where dollars come from, and of which day; absent where all models ran on this machine."),
    "served": Key("json", "A list of: role, model asked, and the names under which its provider says it answered."),
    "energy": Key("text", "Where joules come from; absent where nothing measured them."),
    "notes": Key("text", "The experiment's notes, from its configuration; empty without any."),
    "energy_windows": Key("json", "Joules, seconds, idle watts, calls at once of all windows; absent without a meter."),
    "empty": Key("commas", "Columns that no row has, which readers pass over."),
    "caveats": Key("json", "What a reader must be told: a list of sentences (lines dropped, draws cut)."),
}
"""Metadata of both files."""


def arrow(columns: Mapping[str, Column], scores: Sequence[str] = ()) -> pa.Schema:
    """The Arrow schema of declared columns, and of score columns after them."""
    declared = [pa.field(name, column.type) for name, column in columns.items()]
    return pa.schema([*declared, *(pa.field(name, pa.float64()) for name in scores)])
