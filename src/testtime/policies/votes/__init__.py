"""Votes: how visible draws become one answer. Ties are weights, or the first seen."""

BUILTIN: dict[str, str] = {
    "majority": "testtime.policies.votes.majority:Majority",
    "best": "testtime.policies.votes.best:Best",
    "weighted": "testtime.policies.votes.weighted:WeightedVote",
}
