"""Policies: when to stop × how to vote. One file each; `strings` reads and writes them as text."""

BUILTIN: dict[str, str] = {
    "sc_fixed": "testtime.policies.sc_fixed:ScFixed",
    "adaptive_margin": "testtime.policies.adaptive_margin:AdaptiveMargin",
    "best_of_n": "testtime.policies.best_of_n:BestOfN",
    "weighted": "testtime.policies.weighted:Weighted",
}
