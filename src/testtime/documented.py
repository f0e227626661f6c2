"""Configurations of the emergent-scaling experiments, as they were documented: every key honoured, noticed or refused.

`start_token_budget: 7` and `end_token_budget: 11` are exponents of 2, and stand for the budgets 128, 256, … 2048.
What a file says so becomes keys of a run; what has no meaning here is accepted with a notice where nothing is lost by
leaving it out, and refused where the results would not be what the file asks for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from testtime.core.errors import BadInput

MARKS = frozenset({"start_token_budget", "end_token_budget", "LOCALISATION_RUN", "normalise_over_solution_set"})
"""A file with one of these keys is such a configuration."""
TYPED: Mapping[str, tuple[type, str]] = {
    "start_token_budget": (int, "The smallest budget as an exponent of 2; with end_token_budget, all between them."),
    "end_token_budget": (int, "The largest budget as an exponent of 2."),
    "LOCALISATION_RUN": (bool, "Budgets inside the octave of start_token_budget: true or false."),
    "max_new_tokens_frac": (float, "Steps of a localisation run, as parts of the octave."),
    "sample_idxs_range": (str, 'Which problems of each split, as "(first,end)".'),
    "normalise_over_solution_set": (bool, "Measure the law over the solution set (true), or the gold answer (false)."),
}
"""Documented key that can be typed as a flag of a run too → (its type, a sentence)."""
DOCUMENTED_CONTINUATION = "Hmm, but let me keep thinking..."
NOTICED = {
    "tokenizer_name": "a model's own tokenizer is used",
    "batch_size": "--concurrency says how many calls are in flight",
    "force_end_batch_size": "--concurrency says how many calls are in flight",
    "solution_set_batch_size": "texts that begin alike are scored together",
    "USE_TOKEN_BUDGET_BATCH_SIZE_MAPPING": "--concurrency says how many calls are in flight",
    "token_batch_mapping": "--concurrency says how many calls are in flight",
    "vllm_gpu_memory_utilization": "it is the server's to know",
    "vllm_max_num_seqs": "it is the server's to know",
    "max_model_len": "it is the server's to know",
    "ATTENTION_TYPE": "it is the server's to know",
    "answer_indicator_token": "answers are read by the dataset's rule",
    "n_tokens_remove_answer": "no answer is removed",
    "aime_answer_prompt": "the prompt is the dataset's, or --prompt",
    "safety_buffer": "budgets are exact",
    "SAVE_BOOL": "every draw is kept at once",
    "TIME_BASED_SAVING": "every draw is kept at once",
    "save_every_n_mins": "every draw is kept at once",
    "DEBUG_MODE": "use --debug",
}
"""Accepted key → why it changes nothing."""
OFF = {
    "quantization": (None, "4 and 8 bits are those of the engine hf; else serve the model quantized"),
    "top_k": (None, "a run samples by temperature and top_p"),
    "repetition_penalty": (None, "a run samples by temperature and top_p"),
    "bad_words": (None, "a run samples by temperature and top_p"),
    "REMOVE_ANSWER_AT_CONTINUATION": (False, "what was thought is kept"),
    "INSERT_SYSTEM_PROMPT_FOR_FORCE_CONTINUE": (False, "use --persona for a system message"),
    "APPEND_EOS_TOKEN": (False, "it overwrites a token that the model drew"),
}
"""Key → (the one value that can be, why no other)."""
SAME = ("final_answer_budget", "temperature", "top_p")
Where = Callable[[str], str]


def parted(flags: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(The flags that are keys of a run, those that are keys of such a configuration). Raises BadInput."""
    given = {key: value for key, value in flags.items() if key in TYPED and value is not None}
    for key, value in given.items():
        if TYPED[key][0] is bool and not isinstance(value, bool):
            if str(value).lower() not in ("true", "false"):
                raise BadInput(f"--{key} {value} cannot be", mend="expected true or false")
            given[key] = str(value).lower() == "true"
    return {key: value for key, value in flags.items() if key not in given}, given


def is_documented(values: Mapping[str, Any]) -> bool:
    """Whether a file's keys are those of such a configuration."""
    return bool(MARKS & values.keys())


def translated(values: Mapping[str, Any], where: Where) -> tuple[dict[str, Any], list[str]]:
    """(Keys of a run, notices) of the values of a file; keys that a run has anyway stay. Raises BadInput.

    `where` says where a key stands, for errors.
    """
    out: dict[str, Any] = {"decoding": "budget"}
    notices: list[str] = []
    left = dict(values)
    if left.get("LOCALISATION_RUN") and isinstance(start := left.get("start_token_budget"), list) and len(start) > 1:
        notices.append("start_token_budget has several exponents: every problem is met in all of their octaves")
    out |= _budgets(left, where)
    out |= _answers(left, where)
    out |= _served(left, where)
    for key, value in left.items():
        if key in NOTICED:
            notices.append(f"{key} is read and changes nothing: {NOTICED[key]}")
        elif key in OFF:
            usual, why = OFF[key]
            if value not in (usual, None):
                raise BadInput(f"{key}={value} cannot be honoured: {why}", where=where(key), mend=f"use {usual}")
        elif value is not None:
            out[key] = value
    return out, notices


def localised(exponent: int, fraction: float) -> list[int]:
    """Budgets inside the octave from 2^exponent to its double, at fractions 0, f, 2f, … 1 of the way.

    >>> localised(7, 0.25)
    [128, 160, 192, 224, 256]
    """
    low = 2**exponent
    steps = round(1 / fraction)
    return list(dict.fromkeys(int(low + low * min(at * fraction, 1.0)) for at in range(steps + 1)))


def _budgets(left: dict[str, Any], where: Where) -> dict[str, Any]:
    """Budgets and which problems, taken out of `left`."""
    start, end = left.pop("start_token_budget", None), left.pop("end_token_budget", None)
    fraction = left.pop("max_new_tokens_frac", None)
    localises = left.pop("LOCALISATION_RUN", None)
    chosen = _problems(left, where, several=isinstance(start, list) and bool(localises))
    if localises:
        listed = start if isinstance(start, list) else [start]
        if not listed or not all(_exponent(one) for one in listed):
            raise BadInput(
                f"start_token_budget={start} of a localisation run", where=where("start_token_budget"),
                mend="give an exponent of 2, from 0 to 20, or a list of them",
            )  # fmt: skip
        fraction = 0.125 if fraction is None else fraction
        if not isinstance(fraction, (int, float)) or not 0 < fraction <= 1:
            raise BadInput(
                f"max_new_tokens_frac={fraction} cannot be", where=where("max_new_tokens_frac"), mend="use 0.125"
            )
        return {**chosen, "budget": sorted({one for start in listed for one in localised(start, float(fraction))})}
    if start is None and end is None:
        return chosen
    for key, value in (("start_token_budget", start), ("end_token_budget", end)):
        if not _exponent(value):
            raise BadInput(f"{key}={value} cannot be", where=where(key), mend="expected an exponent of 2, from 0 to 20")
    if start > end:
        raise BadInput(f"start_token_budget {start} is above end_token_budget {end}", where=where("start_token_budget"))
    return {**chosen, "budget": [2**exponent for exponent in range(start, end + 1)]}


def _served(left: dict[str, Any], where: Where) -> dict[str, Any]:
    """How many bits, and what a server that the run starts is told, taken out of `left`."""
    out: dict[str, Any] = {}
    if left.get("serve"):
        share, length = left.pop("vllm_gpu_memory_utilization", None), left.pop("max_model_len", None)
        out |= {"gpu_memory_utilization": share} if share is not None else {}
        out |= {"max_model_len": length} if length is not None else {}
    bits = left.get("quantization")
    if bits in (4, 8) and (left.get("provider") == "hf" or str(left.get("model", "")).startswith("hf:")):
        left.pop("quantization")
        out["quantization"] = f"{bits}bit"
    return out


def _exponent(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 20


def _problems(left: dict[str, Any], where: Where, several: bool) -> dict[str, Any]:
    """The problems of a range; of the whole span where a localisation run of `several` exponents lists one for each."""
    span = left.pop("sample_idxs_range", None)
    if span is None:
        return {}
    if left.get("max_queries") is not None:
        raise BadInput(
            "sample_idxs_range and num_samples are both given", where=where("sample_idxs_range"), mend="give one"
        )
    if isinstance(span, str) and (typed := re.fullmatch(r"\s*[(\[]?\s*(\d+)\s*,\s*(\d+)\s*[)\]]?\s*", span, re.ASCII)):
        span = [int(typed[1]), int(typed[2])]
    ends: list[Any] = span if isinstance(span, list) else []
    if several:
        ends = [end for one in ends for end in (one if isinstance(one, list) else [one, _next(one)])]
    fits = len(ends) >= 2 and all(map(_place, ends)) and (several or len(ends) == 2)
    if not fits or (not several and ends[0] >= ends[1]):
        mend = "give [first, end], or with several exponents one such range, or one problem, for each"
        raise BadInput(f"sample_idxs_range={span} cannot be honoured", where=where("sample_idxs_range"), mend=mend)
    low, high = min(ends), max(ends)
    return {**({"start_index": low} if low else {}), "max_queries": high - low}


def _place(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _next(value: object) -> object:
    return value + 1 if isinstance(value, int) else value


def _answers(left: dict[str, Any], where: Where) -> dict[str, Any]:
    """How thinking ends and goes on, and what is measured, taken out of `left`."""
    out: dict[str, Any] = {}
    if (normalised := left.pop("normalise_over_solution_set", None)) is not None:
        out["score"] = "set" if normalised else "gold"
    if (engine := left.pop("inference_engine", None)) is not None and ":" not in str(left.get("model", "")):
        left["provider"] = engine
    if left.pop("do_sample", None) is False:
        out["temperature"] = 0.0
        left.pop("temperature", None)
    if (ends := left.pop("force_end", None)) is not None:
        out["force_end"] = str(ends).removeprefix("</think>").strip()
    if (goes_on := left.pop("force_continue", None)) is not None:
        text = str(goes_on).replace("<think>", "").strip()
        out["force_continue"] = "hmm" if text == DOCUMENTED_CONTINUATION else text or "none"
    checks = left.pop("CHECK_FOR_FORCE_CONTINUE_REPETITIONS", None)
    threshold = left.pop("repetition_threshold", None)
    if checks is False:
        out["repetition_threshold"] = 0
    elif checks or threshold is not None:
        out["repetition_threshold"] = 100 if threshold is None else threshold
    return out
