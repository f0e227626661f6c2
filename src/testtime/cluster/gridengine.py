"""GridEngine (SGE and its successors): one array job for the parts, and one that is held until it has ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from testtime.cluster.job import NOTICE, Job, said


class GridEngine:
    """qsub and qstat. The environment is not handed on (-V), because anyone could read the keys in it by qstat."""

    task = "SGE_TASK_ID"
    job = "JOB_ID"
    again = "exit 99"
    gpus = "${SGE_HGR_gpu:-}"
    unsaid = " \t\n\"'\\$:,"

    def header(self, job: Job, *, merging: bool) -> Iterator[str]:
        """`#$` lines. -notify: a part hears USR2 before it is killed. s_rt: USR1 before its time is up."""
        needs = job.needs
        yield "#!/bin/bash"
        yield "#$ -S /bin/bash"
        yield f"#$ -N {job.name}{'.merge' if merging else ''}"
        yield "#$ -j y"
        yield f"#$ -o {job.folder}/log/"
        if needs.queue is not None:
            yield f"#$ -q {needs.queue}"
        if not merging:
            yield f"#$ -t 1-{job.tasks}"
            if needs.at_once:
                yield f"#$ -tc {needs.at_once}"
            yield "#$ -r y"
            yield "#$ -notify"
            if needs.cpus is not None:
                yield f"#$ -pe smp {needs.cpus}"
            if needs.seconds is not None:
                yield f"#$ -l h_rt={needs.seconds},s_rt={max(needs.seconds - NOTICE, 1)}"
            told = {"gpu": needs.gpu_count or None, "mem_free": needs.memory}
            yield from (f"#$ -l {key}={value}" for key, value in told.items() if value is not None)
        yield from (f"#$ {option}" for option in needs.options)

    def submit(self, script: Path, after: str | None = None) -> str:
        """Hands a script over; with `after`, to begin once no task of that job is left."""
        hold = ["-hold_jid", after] if after else []
        return said(["qsub", "-terse", *hold, str(script)], "take it").strip().partition(".")[0]

    def alive(self, number: str) -> bool:
        """Whether a job is queued or runs."""
        lines = said(["qstat", "-u", "*"], "say what is queued").split("\n")
        return any(line.split()[:1] == [number] for line in lines)

    def watch(self, numbers: Sequence[str]) -> str:
        """The command that shows how these jobs get on."""
        return f"qstat -j {','.join(numbers)}"
