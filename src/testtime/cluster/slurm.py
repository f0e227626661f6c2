"""Slurm: one array job for the parts, and one that waits for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from testtime.cluster.job import NOTICE, Job, said


class Slurm:
    """sbatch, squeue and scontrol."""

    task = "SLURM_ARRAY_TASK_ID"
    job = "SLURM_ARRAY_JOB_ID"
    again = 'scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" && sleep 600'
    gpus = "${SLURM_JOB_GPUS:-}"
    unsaid = '"\\\n'

    def header(self, job: Job, *, merging: bool) -> Iterator[str]:
        """`#SBATCH` lines. The job that merges takes the queue and the further options, and no GPU."""
        needs = job.needs
        yield "#!/bin/bash"
        yield f"#SBATCH --job-name={job.name}{'.merge' if merging else ''}"
        place = str(job.folder).replace("%", "%%")
        yield f'#SBATCH --output="{place}/log/{"%j.merge" if merging else "%A.%a"}.log"'
        if needs.queue is not None:
            yield f"#SBATCH --partition={needs.queue}"
        if not merging:
            yield f"#SBATCH --array=1-{job.tasks}{f'%{needs.at_once}' if needs.at_once else ''}"
            yield "#SBATCH --open-mode=append"
            yield "#SBATCH --requeue"
            yield f"#SBATCH --signal=B:USR1@{NOTICE}"
            told = {"gres": f"gpu:{needs.gpus}" if needs.gpus else None, "cpus-per-task": needs.cpus}
            told |= {"mem": needs.memory, "time": needs.time}
            yield from (f"#SBATCH --{key}={value}" for key, value in told.items() if value is not None)
        yield from (f"#SBATCH {option}" for option in needs.options)

    def submit(self, script: Path, after: str | None = None) -> str:
        """Hands a script over; with `after`, to begin once no task of that job is left."""
        wait = [f"--dependency=afterany:{after}"] if after else []
        return said(["sbatch", "--parsable", *wait, str(script)], "take it").strip().partition(";")[0]

    def alive(self, number: str) -> bool:
        """Whether a job is queued or runs; one that Slurm no longer knows has ended."""
        return number in said(["squeue", "--noheader", "--format=%F"], "say what is queued").split()

    def watch(self, numbers: Sequence[str]) -> str:
        """The command that shows how these jobs get on."""
        return f"squeue --jobs={','.join(numbers)}"
