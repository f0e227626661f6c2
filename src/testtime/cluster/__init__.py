"""Many machines: the parts of runs as one array of jobs, and the job that makes one pool of each run's parts.

job.py         what is asked of a scheduler, and the scripts, which differ by scheduler in their header alone
slurm.py       sbatch, squeue, scontrol
gridengine.py  qsub, qstat
workers.py     Ray: parts are dealt to actors, which are started again where they die
"""

BUILTIN: dict[str, str] = {
    "slurm": "testtime.cluster.slurm:Slurm",
    "gridengine": "testtime.cluster.gridengine:GridEngine",
}
