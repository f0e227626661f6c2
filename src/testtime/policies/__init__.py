"""Policies: when to stop × how to vote. One file each; `strings` reads and writes them as text."""

BUILTIN: dict[str, str] = {
    "sc_fixed": "testtime.policies.sc_fixed:ScFixed",
    "adaptive_margin": "testtime.policies.adaptive_margin:AdaptiveMargin",
    "best_of_n": "testtime.policies.best_of_n:BestOfN",
    "weighted": "testtime.policies.weighted:Weighted",
    "curtail": "testtime.policies.curtail:Curtail",
    "certified": "testtime.policies.certified:Certified",
    "bayes": "testtime.policies.bayes:Bayes",
    "batch_sequential": "testtime.policies.batch_sequential:BatchSequential",
    "greedy_budget": "testtime.policies.greedy_budget:GreedyBudget",
    "deepconf": "testtime.policies.deepconf:DeepConf",
    "cascade": "testtime.policies.cascade:Cascade",
}
