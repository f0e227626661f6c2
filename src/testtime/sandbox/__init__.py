"""Where foreign code runs, one kind of wall a file: what a model wrote is never executed in our own process.

box.py      one Python behind a wall: started, talked to by lines, killed
guest.py    what runs beside the candidate's code: loads it, and answers calls to it
form.py     plain values as one text, for programs that are compared by what they give
checker.py  what runs the dataset's tests, in a sandbox of its own, and calls the candidate over the wire
pool.py     boxes started ahead, one clean one a candidate
"""

BUILTIN: dict[str, str] = {
    "auto": "testtime.sandbox.opening:strongest",
    "bubblewrap": "testtime.sandbox.bubblewrap:Bubblewrap",
    "docker": "testtime.sandbox.docker:Docker",
    "subprocess": "testtime.sandbox.rlimits:Rlimits",
}
