"""`testtime serve`: a model on the OpenAI wire, for any client that speaks it."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from typing import Annotated, Any

from cyclopts import Parameter

from testtime.cli import Whole
from testtime.cli.flags import part_of
from testtime.runspec import MODEL_SETTINGS, RunSpec

Backend: Any = part_of(RunSpec, MODEL_SETTINGS, "Where and how the model runs")
NO_BACKEND = Backend()


def serve(
    *,
    model: Annotated[str, Parameter(help="The model, as provider:name; by default pocket-m.")] = "pocket-m",
    host: Annotated[str, Parameter(help="The address to listen on; by default this machine alone.")] = "127.0.0.1",
    port: Annotated[Whole, Parameter(help="The port; 0 takes a free one; by default 8000.")] = 8000,
    served_name: Annotated[
        str | None, Parameter(help="What clients call the model; by default its name without the provider.")
    ] = None,
    backend: Annotated[Backend, Parameter(name="*")] = NO_BACKEND,
) -> None:
    """Serve a model on the OpenAI wire."""
    from testtime.cli import show
    from testtime.core.protocols import Opens
    from testtime.models.naming import open_model, resolve
    from testtime.serve import server

    given = {key: value for key, value in dataclasses.asdict(backend).items() if value is not None}
    opened = open_model(resolve(model), given)
    if isinstance(opened, Opens):
        opened.open()  # weights are loaded before anyone asks
    name = served_name or opened.name.partition(":")[2]

    def ready(url: str) -> None:
        out = show.console()
        out.print(f"serving {opened.name} as {name} at {url} (Ctrl-C ends it)", soft_wrap=True)
        out.print(f"next: testtime run --model vllm:{name} --base_url {url} --dataset pocket-math", soft_wrap=True)

    with suppress(KeyboardInterrupt):
        server.serve(opened, host=host, port=port, name=name, ready=ready)
