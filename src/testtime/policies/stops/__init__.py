"""Stopping rules: each is one predicate over the tally of the visible draws."""

BUILTIN: dict[str, str] = {
    "share": "testtime.policies.stops.share:Share",
    "margin": "testtime.policies.stops.margin:Margin",
    "entropy": "testtime.policies.stops.entropy:Entropy",
    "beta": "testtime.policies.stops.beta:Beta",
    "dirichlet": "testtime.policies.stops.dirichlet:Dirichlet",
    "sprt": "testtime.policies.stops.sprt:Sprt",
    "window": "testtime.policies.stops.window:Window",
    "lossless": "testtime.policies.stops.lossless:Lossless",
}
