"""How one draw is made, one decoding a file: from a problem's messages to a candidate."""

BUILTIN: dict[str, str] = {
    "plain": "testtime.decoding.plain:Plain",
    "guided": "testtime.decoding.guided:Guided",
    "speculative": "testtime.decoding.speculative:Speculative",
    "beam": "testtime.decoding.beam:Beam",
    "particles": "testtime.decoding.particles:Particles",
    "budget": "testtime.decoding.budget:Budget",
    "prefix": "testtime.decoding.prefix:Prefix",
    "likelihood": "testtime.decoding.likelihood:Likelihood",
    "tools": "testtime.decoding.tools:Tools",
    "native_budget": "testtime.decoding.native_budget:NativeBudget",
}
