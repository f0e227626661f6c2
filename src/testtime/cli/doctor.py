"""`testtime doctor`: whether each provider's models can be called from here, and whether a model fits the GPU."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from testtime.core.errors import BadInput


def doctor(
    providers: Annotated[
        list[str] | None, Parameter(help="Which providers; by default all that are installed.")
    ] = None,
    /,
    *,
    model: Annotated[
        list[str] | None, Parameter(help="Models to look at, as provider:name; with their providers.")
    ] = None,
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
) -> None:
    """Check packages, keys and servers, and what fits the GPU; nothing is paid for without --call."""
    from testtime.core.registry import names
    from testtime.models import keys
    from testtime.models.naming import resolve

    keys.use_file(env_file)
    if call and not model:
        raise BadInput("--call needs a model", mend="add --model provider:name")
    if gpu:
        _memory(model or [], dtype)
        return
    models = [resolve(one) for one in model or []]
    asked = [*(providers or []), *(one.partition(":")[0] for one in models)]
    wrong = [provider for provider in dict.fromkeys(asked or names("model")) if not _shown(provider)]
    wrong += [one for one in models if call and not _called(one)]
    if asked and wrong:
        raise BadInput(f"{', '.join(wrong)} cannot be called as it is", mend="see the lines above that say no")


def _shown(provider: str) -> bool:
    """Prints what is found of a provider; whether all is well."""
    from testtime.cli import show
    from testtime.models.health import look

    checks = look(provider)
    if not checks:
        show.console().print(f"{provider}: needs nothing", soft_wrap=True)
    for check in checks:
        show.console().print(f"{provider}: {'ok' if check.well else 'no'}  {check.what}: {check.said}", soft_wrap=True)
    return all(check.well for check in checks)


def _called(whole: str) -> bool:
    from testtime.cli import show
    from testtime.models.health import call
    from testtime.models.naming import open_model

    check = asyncio.run(call(open_model(whole)))
    show.console().print(f"{whole}: {'ok' if check.well else 'no'}  call: {check.said}", soft_wrap=True)
    return check.well


def _memory(models: list[str], dtype: str) -> None:
    """Prints what each model would take, and what each GPU has free."""
    from testtime.cli import show
    from testtime.meters.gpu import Nvml
    from testtime.models.memory import estimate

    out, nvml = show.console(), Nvml.here()
    free = nvml.free_bytes() if nvml else []
    for at, bytes_free in enumerate(free):
        out.print(f"GPU {at}: {bytes_free / 2**30:.1f} GiB free", soft_wrap=True)
    if not free:
        out.print("no GPU can be seen by NVML (the extra energy brings it)", soft_wrap=True)
    for model in models:
        found = estimate(model.removeprefix("hf:").removeprefix("vllm:"), dtype)
        if found is None:
            out.print(f"{model}: neither its files nor its name tell its size", soft_wrap=True)
            continue
        fits = f", {'fits' if found.total <= sum(free) else 'does not fit'}" if free else ""
        cache = "" if found.cache is None else f" + {found.cache / 2**30:.1f} GiB keys and values"
        about = f"{found.total / 2**30:.1f} GiB in {dtype} ({found.weights / 2**30:.1f} GiB weights{cache})"
        out.print(f"{model}: about {about}, by {found.of}{fits}", soft_wrap=True)
