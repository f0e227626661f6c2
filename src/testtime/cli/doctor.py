"""`testtime doctor`: whether each provider's models can be called from here, and whether a model fits the GPU."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from testtime.cli import Json
from testtime.core.errors import BadInput

if TYPE_CHECKING:
    from testtime.models.health import Check


def doctor(
    providers: Annotated[
        list[str] | None, Parameter(help="Which providers; by default all that are installed.")
    ] = None,
    /,
    *,
    model: Annotated[
        list[str] | None, Parameter(help="Models to look at, as provider:name; with their providers.")
    ] = None,
    base_url: Annotated[str | None, Parameter(help="Address of the models' server, …/v1.")] = None,
    call: Annotated[
        bool, Parameter(show_default=False, help="Ask each model for one token, which is paid for.")
    ] = False,
    gpu: Annotated[
        bool, Parameter(show_default=False, help="Print the memory each model would take, and what is free.")
    ] = False,
    dtype: Annotated[
        Literal["float32", "float16", "bfloat16", "8bit", "4bit"],
        Parameter(help="Type or quantization of the weights, for --gpu."),
    ] = "bfloat16",
    env_file: Annotated[Path | None, Parameter(help="A file of keys, NAME=value a line.")] = None,
    json: Json = False,
) -> None:
    """Check packages, keys and servers, and what fits the GPU; nothing is paid for without --call."""
    from testtime.cli import show
    from testtime.core.registry import names
    from testtime.models import keys
    from testtime.models.health import call as calling
    from testtime.models.health import look
    from testtime.models.naming import open_model, resolve

    keys.use_file(env_file)
    if (alone := "--call" if call else "--base_url" if base_url else None) and not model:
        raise BadInput(f"{alone} needs a model", mend="add --model provider:name")
    if gpu:
        _memory(model or [], dtype, json)
        return
    models = [resolve(one) for one in model or []]
    asked = [*(providers or []), *(one.partition(":")[0] for one in models)]
    how = {"base_url": base_url} if base_url else {}
    served = _served(models, how)
    found: dict[str, Sequence[Check]] = {
        one: look(one, served.get(one, ())) for one in dict.fromkeys(asked or names("model"))
    }
    found |= {one: [asyncio.run(calling(open_model(one, how)))] for one in models if call}
    if json:
        show.json(found)
    else:
        _print(found)
    wrong = [name for name, checks in found.items() if not all(check.well for check in checks)]
    if asked and wrong:
        raise BadInput(f"{', '.join(wrong)} cannot be called as it is", mend="see the lines above that say no")
    if not json:
        show.next_step(f"testtime run --model {models[0] if models else 'pocket-m'} --dataset pocket-math --dry_run")


def _served(models: Sequence[str], how: Mapping[str, str]) -> dict[str, list[str]]:
    """Provider → where its models are served: a size in a name may have a port of its own."""
    from testtime.models.naming import open_model
    from testtime.models.openai.backend import OpenAI
    from testtime.models.openai.hosts import table

    found: dict[str, list[str]] = {}
    for whole in models:
        made = open_model(whole, how) if how or whole.partition(":")[0] in table() else None
        if isinstance(made, OpenAI):
            found.setdefault(made.host, []).append(made.url)
    return found


def _print(found: Mapping[str, Sequence[Check]]) -> None:
    """A line for each thing that was looked at."""
    from testtime.cli import show
    from testtime.figures.tables import printable

    out = show.console()
    for name, checks in found.items():
        if not checks:
            out.print(f"{name}: needs nothing", soft_wrap=True)
        for check in checks:
            said = printable(f"{name}: {'ok' if check.well else 'no'}  {check.what}: {check.said}")
            out.print(said, soft_wrap=True)


def _memory(models: list[str], dtype: str, json: bool) -> None:
    """Prints what each model would take, and what each GPU has free."""
    from testtime.cli import show
    from testtime.meters.gpu import Nvml
    from testtime.models.memory import estimate

    out, nvml = show.console(), Nvml.here()
    free = nvml.free_bytes() if nvml else []
    sizes = {model: estimate(model.removeprefix("hf:").removeprefix("vllm:"), dtype) for model in models}
    if json:
        show.json({"free_bytes": free, "models": sizes})
        return
    for at, bytes_free in enumerate(free):
        out.print(f"GPU {at}: {bytes_free / 2**30:.1f} GiB free", soft_wrap=True)
    if not free:
        out.print("no GPU can be seen by NVML (the extra energy brings it)", soft_wrap=True)
    for model, found in sizes.items():
        if found is None:
            out.print(f"{model}: neither its files nor its name tell its size", soft_wrap=True)
            continue
        fits = f", {'fits' if found.total <= sum(free) else 'does not fit'}" if free else ""
        cache = "" if found.cache is None else f" + {found.cache / 2**30:.1f} GiB keys and values"
        about = f"{found.total / 2**30:.1f} GiB in {dtype} ({found.weights / 2**30:.1f} GiB weights{cache})"
        out.print(f"{model}: about {about}, by {found.of}{fits}", soft_wrap=True)
    show.next_step(f"testtime run --model {models[0] if models else 'pocket-m'} --dataset pocket-math --dry_run")
