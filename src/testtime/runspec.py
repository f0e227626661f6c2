"""What a user may ask of a run, and which parts of it shape, extend or merely steer it.

    KEY      shapes every draw: two runs that differ here share nothing, and one folder holds one of them
    extent   splits, max_queries, num_candidates, decoding, policies: a folder grows to the union of what was ever
             asked of it; a decoding is an arm (or several), and says for itself what shapes its draws
    knobs    all the rest changes no result: where files lie, how many calls are in flight

The names and the reading of flags and YAML are those of `spec`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from testtime.core.errors import BadInput
from testtime.core.records import canonical as as_text
from testtime.core.seeds import digest
from testtime.documented import is_documented, parted, translated
from testtime.spec import DEFAULT_POLICIES, Document, Listed, Several, canonical, read_yaml, typed
from testtime.store.cloud import address

KEY = (
    "model", "oracle_model", "mock_model", "dataset", "sample", "start_index", "prompt", "persona", "structured_output",
    "temperature", "top_p", "max_tokens", "seed", "live", "api", "dtype", "quantization",
    "model_digest",
)  # fmt: skip
MODEL_KEYS = ("model", "oracle_model", "judge_model", "mock_model")
"""Keys that name a model."""
MODEL_SETTINGS = (
    "api", "timeout", "stream", "send_seed", "dtype", "device", "quantization", "batch_size",
    "leave_core_free",
)  # fmt: skip
"""Keys that are settings of backends: each goes to every model whose backend has it."""
SERVED_BY = ("tensor_parallel", "gpu_memory_utilization", "max_model_len")
"""Keys that are settings of a vLLM that is started for the run; it takes dtype and quantization too."""
KINDS = ("policy", "decoding", "task")
"""Kinds of components whose settings are keys of a run."""

MOST = 2**31 - 1
"""The largest count: columns of files hold it."""
Count = Annotated[int, Field(strict=True, ge=1, le=MOST)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True)]
Switch = Annotated[bool, Field(strict=True)]


class RunSpec(BaseModel):
    """One `testtime run`: a model on a dataset, and the policies that decide how much is drawn."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    model: str
    """The model, as provider:name; pocket-*, gpt-*, claude-*, gemini-* and org/name need no provider."""
    provider: str | None = None
    """Who serves the model, where its name does not say."""
    generator: Literal["claude", "openai"] | None = None
    """claude or openai: the provider, as earlier tools named it."""
    oracle_model: str | None = None
    """The larger model that a guided decoding or a cascade may ask, as provider:name."""
    judge_model: str | None = None
    """The model of judges, as provider:name; by default the one that makes the candidates."""
    llm_judge_fallback: Switch = False
    """Ask the judge about mathematical answers that the rule does not call right, too."""
    judge_threshold: Annotated[float, Field(strict=True, ge=0, le=1)] = 0.4
    """Ask the judge where the confidence that an answer is right is below this; by default 0.4."""
    judge_audit: Annotated[float, Field(strict=True, ge=0, le=1)] = 0.02
    """Share of the other verdicts that the judge is asked about too, to no effect but a report; by default 0.02."""
    refusal_budget: Annotated[int, Field(strict=True, ge=0, le=MOST)] = 0
    """Texts of which the signs of refusal are unsure that the judge is asked about; by default 0, signs alone."""
    persona_judge: Switch = False
    """Ask the judge how strongly each text speaks in the persona's voice, 0 to 5."""
    mock_model: str | None = None
    """The model that plays tools, as provider:name; by default a small one of the same provider, else the run's own."""
    dataset: str
    """The benchmark, as name or name:key=value,…; pocket-math needs no file."""
    splits: Listed = ("test",)
    """Splits of the dataset, several or joined by commas; by default test."""
    streaming: Switch = True
    """Read a dataset of the hub as it comes, without keeping a copy; a file is read as it is."""
    dataset_path: Path | None = None
    """A file or folder that holds the dataset, where it is not bundled."""
    max_queries: Count | None = None
    """Problems of each split at most, the first in dataset order; by default all."""
    sample: Whole | None = None
    """A seed: take max_queries random problems instead, the same for every model."""
    start_index: Annotated[int, Field(strict=True, ge=0, le=MOST)] = 0
    """Problems of each split that are passed over before the first; by default 0."""
    shard: Annotated[str | None, Field(pattern=r"^[1-9][0-9]*/[1-9][0-9]*$", examples=["1/4"])] = None
    """i/N: only the i-th of N parts of the problems, in a folder of its own; `testtime merge` makes one run of them."""
    policies: Several = DEFAULT_POLICIES
    """Policies as name or name:key=value,…; by default sc_fixed and adaptive_margin."""
    decoding: Several = ("plain",)
    """How a draw is made, as name or name:key=value,…; several are drawn side by side. By default plain, or tools."""
    settings: Mapping[str, Several] = Field(default_factory=dict)
    """Settings of the dataset and the selected policies and decodings, each one value or several: a grid."""
    num_candidates: Count | None = None
    """Draws of each problem, also where the policies need fewer; by default what they need."""
    prompt: str | None = None
    """A template with {question} in it; by default the dataset's."""
    persona: str | None = None
    """Who the model is to be: a file, or the text itself; it is the system message."""
    structured_output: Switch = False
    """Hold the model to a JSON object of steps and a final answer."""
    temperature: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] | None = None
    """Sampling temperature; by default 0.7, or the model's own where it takes none."""
    top_p: Annotated[float, Field(strict=True, gt=0, le=1)] | None = None
    """Nucleus of the sampling; by default 0.95, or the model's own where it takes none."""
    max_tokens: Count = 512
    """Completion tokens of one call, at most; by default 512."""
    seed: Whole = 0
    """Seed of every draw; by default 0."""
    live: Switch = False
    """Execute one policy alone, and measure its time and energy instead of modelling them."""
    base_url: Several = ()
    """Address of the model's server, http://HOST:PORT/v1; KEY=http://… is that of another model (oracle_model)."""
    serve: str | None = None
    """vllm: start a vLLM for the run, and stop it; or the command that starts another server ({model}, {port})."""
    tensor_parallel: Count | None = None
    """GPUs that share a served model."""
    gpu_memory_utilization: Annotated[float, Field(strict=True, gt=0, le=1)] | None = None
    """Share of the GPU's memory that a served model may take."""
    max_model_len: Count | None = None
    """Tokens of prompt and text together that a served model has room for."""
    dtype: str | None = None
    """Numbers of a local model: bfloat16, float16, float32; by default as its weights say."""
    quantization: str | None = None
    """Fewer bits for a local model: 8bit or 4bit (hf), or what vLLM calls it."""
    device: str | None = None
    """Where a local model runs: cpu, cuda, cuda:1, mps, or auto over all GPUs."""
    batch_size: Count | None = None
    """Texts that a local model writes at once, at most."""
    leave_core_free: Switch | None = None
    """Leave one core of this machine to others while a pocket model writes; by default it works on all."""
    api: Literal["chat", "responses", "completions"] | None = None
    """Which of OpenAI's APIs is spoken; by default what the model needs."""
    timeout: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] | None = None
    """Seconds that a reply may take; by default 600."""
    stream: Switch | None = None
    """Receive replies as streams, for proxies that cut silent connections."""
    send_seed: Switch | None = None
    """Send each draw's seed where the host takes one; by default yes."""
    sandbox: Literal["auto", "bubblewrap", "docker", "subprocess"] = "auto"
    """Where programs that a model wrote run: auto is bubblewrap, else docker; subprocess has limits but no walls."""
    measure_energy: Switch = False
    """Measure joules where the machine has a counter that can be read."""
    concurrency: Count = 16
    """Calls in flight at once; by default 16."""
    requests_per_minute: Positive | None = None
    """The most requests that leave for one model in a minute; by default as many as it takes."""
    tokens_per_minute: Positive | None = None
    """The most tokens, prompt and completion, that the requests of a minute are to take."""
    retry_failed: Literal["none", "transient", "all"] = "transient"
    """Which draws that failed before are made again: none, transient or all; by default transient."""
    max_cost: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] | None = None
    """Dollars that the run's output may cost, over all sessions; then it stops, and what is there is whole."""
    max_total_tokens: Annotated[int, Field(strict=True, ge=0)] | None = None
    """Tokens, prompt and completion, that it may take, over all sessions."""
    max_seconds: Positive | None = None
    """Seconds that it may run, over all sessions."""
    batch: Switch = False
    """Gather requests in the provider's batch files, at half price and within a day, where the model takes them."""
    expect_tokens: Positive | None = None
    """Tokens that one completion will have, about: what --dry_run reckons with, and with half of them as its low."""
    pilot: Path | None = None
    """A pool whose completions are as long as those to come, in place of expect_tokens."""
    env_file: Path | None = None
    """A file of keys, NAME=value a line; else the environment, .env and env_vars/.env.main are read."""
    prices: Path | None = None
    """A YAML file of your own prices, provider:pattern: {prompt, completion, cached}, in $ per million tokens."""
    out_dir: Path = Path("results")
    """The folder of runs; by default results."""
    run: str | None = None
    """What to call the run; by default dataset, provider, model and a digest of the configuration."""
    output: Path | None = None
    """P.parquet for the candidates or P.jsonl for the outcomes, in place of out_dir and run; the folder is P.run.

    {model}, {n}, {temperature} and {date} may stand in it. By default, of a configuration: results/ beside it. Of
    s3://… and gs://… (extra cloud) the run works in a copy on this machine, and sends it when it ends or is stopped.
    """
    model_digest: str | None = None
    """Digest of the files of local models; the run finds it."""
    variant: str | None = None
    """What sets it apart in a grid of runs; the grid names it."""
    config_file: str | None = None
    """The configuration it was read from, as it was named; `specs_of` notes it."""
    notes: str | None = None
    """Anything worth remembering; kept with the pool."""

    @field_serializer("output", "out_dir", when_used="json")
    def _as_typed(self, path: Path | None) -> str | None:
        return None if path is None else address(path) or str(path)


def run_spec(flags: Mapping[str, Any], config: Path | None = None) -> RunSpec:
    """The spec of a run from flags over a file. Raises BadInput."""
    plain, over = parted(flags)
    if config is None:
        return typed(RunSpec, {**plain, **_alone(plain, over)}, None, KINDS)
    return typed(RunSpec, plain, config, KINDS, lambda path: _under(plain, over, path))


def noted(config: Path | None) -> dict[str, Any]:
    """What a spec keeps of where it was read: the file typed first, also where a run's own spec is read again."""
    return {} if config is None else {"config_file": read_yaml(config).values.get("config_file") or str(config)}


def notices_of(config: Path | None) -> list[str]:
    """What a file says that is accepted and changes nothing, a sentence each. Raises BadInput."""
    return [] if config is None else _read(config)[1]


def _under(flags: Mapping[str, Any], over: Mapping[str, Any], path: Path) -> Document:
    """A file's keys under flags: who serves its own model says nothing of a model whose provider the flags name."""
    document, given = _read(path, over)[0], {canonical(key): value for key, value in flags.items() if value is not None}
    if not given.keys() & {"provider", "generator"} and ":" not in str(given.get("model", "")):
        return document
    kept = {key: value for key, value in document.values.items() if key not in ("provider", "generator")}
    return replace(document, values=kept)


def _read(path: Path, over: Mapping[str, Any] | None = None) -> tuple[Document, list[str]]:
    """A file's keys as those of a run, also where it is a documented configuration of token budgets; notices.

    `over` are documented keys that were typed: they beat the file's, and budgets that it has otherwise.
    """
    document, over = read_yaml(path), over or {}
    if not over and not is_documented(document.values):
        return document, []
    both = {**document.values, **over}
    if over.keys() & {"start_token_budget", "end_token_budget", "LOCALISATION_RUN"}:
        both.pop("budget", None)
    if "sample_idxs_range" in over:
        both = {key: value for key, value in both.items() if key not in ("max_queries", "start_index")}
    values, notices = translated(both, lambda key: f"--{key}" if key in over else document.at(key))
    return replace(document, values=values), notices


def _alone(flags: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Documented keys that were typed without a file, as those of a run."""
    if not over:
        return {}
    values = translated(over, lambda key: f"--{key}")[0]
    return {key: value for key, value in values.items() if flags.get(key) is None}


def specs_of(flags: Mapping[str, Any], config: Path | None = None) -> list[RunSpec]:
    """The specs of a run, or of a grid of runs: several values of a key that takes one are a run each.

    Of a file, where nobody says where the pool goes, it is `results/STEM.parquet` beside the file. Raises BadInput for
    any of them.
    """
    typed_here, over = parted(flags)
    document = _under(typed_here, over, config).values if config else {}
    merged = {**document, **{canonical(key): value for key, value in typed_here.items() if value is not None}}
    lists = {key: merged[key] for key in RunSpec.model_fields if key not in SEVERAL and _lists(merged.get(key))}
    axes = {key: [one for at, one in enumerate(values) if one not in values[:at]] for key, values in lists.items()}
    several = [key for key, values in axes.items() if len(values) > 1]
    beside = noted(config)
    if config is not None and not merged.keys() & {"output", "out_dir", "run"}:
        beside |= {"output": config.parent / "results" / f"{config.stem}.parquet"}
    named, specs = bool(merged.get("run") or merged.get("output") or "output" in beside), []
    for values in product(*axes.values()):
        point = dict(zip(axes, values, strict=True))
        told = [f"{key}={_short(point[key])}" for key in several if named or key not in IN_NAME]
        variant = {"variant": "_".join(told)} if several else {}
        specs.append(run_spec({**flags, **beside, **point, **variant}, config))
    return specs


SEVERAL = frozenset({"splits", "policies", "decoding", "base_url", "settings"})
"""Keys that take several values within one run."""
IN_NAME = ("model", "provider", "generator", "dataset")
"""Keys that the default name of a run says anyway."""
HIDDEN = frozenset({"settings", "model_digest", "variant", "config_file"})
"""Keys that are no flags."""


def _lists(value: object) -> bool:
    return isinstance(value, (list, tuple)) and len(value) > 0


def _short(value: object) -> str:
    text = str(value).rpartition("/")[2]
    return text if len(text) <= 24 else f"{text[:15]}-{digest(value, length=8)}"


def key_of(spec: RunSpec) -> dict[str, Any]:
    """What shapes every draw, of a resolved spec; executed live, also the one policy that it is alone with."""
    return spec.model_dump(mode="json", include={*KEY, "policies"} if spec.live else set(KEY))


def digest_of(spec: RunSpec) -> str:
    """The digest of what shapes every draw."""
    return digest(as_text(key_of(spec)))


def resolved_yaml(spec: RunSpec) -> dict[str, Any]:
    """A resolved spec as its file says it: every key, nulls too, so that the file alone can run again."""
    return spec.model_dump(mode="json", exclude={"settings"})


def differing(stored: RunSpec, now: RunSpec) -> list[str]:
    """What keeps the stored draws from being used now, a sentence for each key that differs."""
    old, new = key_of(stored), key_of(now)
    names = [name for name in old if name in new and old[name] != new[name]]
    return [f"{name} is {_said(old[name])} there, {_said(new[name])} here" for name in names]


def together(stored: RunSpec, now: RunSpec, *, where: str) -> RunSpec:
    """What a folder holds that was made for one and then for the other: the union of both.

    Raises BadInput where they differ in what shapes a draw.
    """
    if reasons := differing(stored, now):
        what = f"these draws were made otherwise: {'; '.join(reasons)}"
        raise BadInput(what, where=where, mend="give another --run, or --fresh to set the old one aside")
    most = None if None in (stored.max_queries, now.max_queries) else _larger(stored.max_queries, now.max_queries)
    return now.model_copy(
        update={
            "splits": _union(stored.splits, now.splits),
            "decoding": _union(stored.decoding, now.decoding),
            "policies": _union(stored.policies, now.policies),
            "max_queries": most,
            "num_candidates": _larger(stored.num_candidates, now.num_candidates),
        }
    )


def _larger(one: int | None, other: int | None) -> int | None:
    return max((value for value in (one, other) if value is not None), default=None)


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _said(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
