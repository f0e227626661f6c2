"""How a candidate is judged, one stage a file. A stage that sees the reference says so, and no policy reads it."""

BUILTIN: dict[str, str] = {
    "choice": "testtime.verifiers.choice:Choice",
    "code": "testtime.verifiers.code:Code",
    "each": "testtime.verifiers.each:Each",
    "judge": "testtime.verifiers.judge:Judge",
    "likelihood": "testtime.verifiers.likelihood:Likelihood",
    "math": "testtime.verifiers.math:Math",
    "no_tests": "testtime.verifiers.no_tests:NoTests",
    "persona": "testtime.verifiers.persona:Persona",
    "refusal": "testtime.verifiers.refusal:Refusal",
    "reward": "testtime.verifiers.reward:Reward",
    "step_judge": "testtime.verifiers.step_judge:StepJudge",
    "steps": "testtime.verifiers.steps:Steps",
    "tools": "testtime.verifiers.tools:Tools",
}
