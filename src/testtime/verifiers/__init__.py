"""How a candidate is judged, one stage a file. A stage that sees the reference says so, and no policy reads it."""

BUILTIN: dict[str, str] = {
    "math": "testtime.verifiers.math:Math",
    "steps": "testtime.verifiers.steps:Steps",
    "likelihood": "testtime.verifiers.likelihood:Likelihood",
}
