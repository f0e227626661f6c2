"""`testtime serve`: a model on the OpenAI wire, for any client that speaks it."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from cyclopts import Parameter


def serve(
    *,
    model: Annotated[str, Parameter(help="The model, as provider:name; by default pocket-m.")] = "pocket-m",
    host: Annotated[str, Parameter(help="The address to listen on; by default this machine alone.")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="The port; 0 takes a free one; by default 8000.")] = 8000,
    served_name: Annotated[
        str | None, Parameter(help="What clients call the model; by default its name without the provider.")
    ] = None,
) -> None:
    """Serve a model on the OpenAI wire."""
    from testtime.cli import show
    from testtime.models.naming import open_model, resolve
    from testtime.serve import server

    opened = open_model(resolve(model))
    name = served_name or opened.name.partition(":")[2]

    def ready(url: str) -> None:
        out = show.console()
        out.print(f"serving {opened.name} as {name} at {url} (Ctrl-C ends it)", soft_wrap=True)
        out.print(f"next: testtime run --model vllm:{name} --base_url {url} --dataset pocket-math", soft_wrap=True)

    with suppress(KeyboardInterrupt):
        server.serve(opened, host=host, port=port, name=name, ready=ready)
