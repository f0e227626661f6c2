"""Where a run lies: the folder, or the file, that a resolved spec names."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from testtime.core.errors import BadInput
from testtime.core.strings import parse
from testtime.runspec import RunSpec, digest_of
from testtime.store.atomic import slug
from testtime.store.cloud import here
from testtime.store.folder import RunFolder, default_name


def commit_here() -> str | None:
    """The commit that the repository one stands in is at; None outside of one, or without git."""
    with suppress(OSError, subprocess.SubprocessError):
        asked = ["git", "rev-parse", "--verify", "--quiet", "HEAD"]
        said = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=False)
        return said.stdout.strip() or None
    return None


def placed(spec: RunSpec) -> RunSpec:
    """A resolved spec whose output names the file itself: {model}, {n}, {temperature}, {date} filled in.

    The date is today's in UTC, as in 20261125, and n what every problem is due. Raises BadInput for another name.
    """
    if spec.output is None or "{" not in str(spec.output):
        return spec
    floors = [parse("policy", text).floor for text in spec.policies]
    known = {
        "model": slug(spec.model.partition(":")[2]),
        "n": str(max([spec.num_candidates or 0, *floors])),
        "temperature": f"{spec.temperature:g}",
        "date": f"{datetime.now(UTC):%Y%m%d}",
    }
    try:
        filled = str(spec.output).format(**known)
    except (KeyError, IndexError, ValueError, AttributeError):
        mend = f"in a name may stand {', '.join(f'{{{name}}}' for name in known)}"
        raise BadInput("this name cannot be filled in", where=str(spec.output), mend=mend) from None
    return spec.model_copy(update={"output": Path(filled)})


def folder_of(spec: RunSpec) -> RunFolder:
    """Where a resolved spec's run lies: of one in a store, its copy. Raises BadInput."""
    if spec.output is not None:
        return RunFolder.beside(here(_output(spec)))
    provider, _, model = spec.model.partition(":")
    if spec.run is not None:
        name = f"{spec.run}{_variant(spec)}"
    else:
        name = default_name(spec.dataset.partition(":")[0], provider, f"{model}{_variant(spec)}", digest_of(spec))
    return RunFolder.at(here(spec.out_dir), f"{name}{suffix_of(spec)}")


def _output(spec: RunSpec) -> Path:
    """The file that the output was named as. Raises BadInput."""
    path = Path(str(spec.output))
    if path.suffix not in (".parquet", ".jsonl"):
        mend = "end it in .parquet for the candidates, or .jsonl for the outcomes"
        raise BadInput("this output can be neither", where=str(path), mend=mend)
    if spec.run is not None:
        raise BadInput("both an output and a run are named", mend="give --output, or --out_dir and --run")
    return path.with_name(f"{path.stem}{_variant(spec)}{suffix_of(spec)}{path.suffix}")


def _variant(spec: RunSpec) -> str:
    return f"_{slug(spec.variant)}" if spec.variant else ""


def suffix_of(spec: RunSpec) -> str:
    """What a shard's name ends in."""
    return f".{spec.shard.replace('/', 'of')}" if spec.shard else ""
