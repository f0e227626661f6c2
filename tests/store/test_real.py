"""A recorded pool of 659 × 40 draws through Parquet and back: votes, tokens and verdicts are those of the file."""

from collections import Counter

import numpy as np
import polars as pl

from testtime.core.rows import read
from testtime.store.frame import open_pool
from testtime.store.parquet import write_frame


def test_a_recorded_pool_keeps_every_vote_token_and_verdict(data, tmp_path):
    lines = list(read(data / "consol" / "gsm_samples40_first_half.jsonl.gz"))
    cells = [
        ("plain", str(line["id"]), i, None if answer is None else repr(answer), answer == line["gold"], tokens)
        for line in lines
        for i, (answer, tokens) in enumerate(zip(line["answers"], line["tokens"], strict=True))
    ]
    names = ["arm", "query_id", "candidate_idx", "answer_key", "is_verified", "completion_tokens"]
    write_frame(tmp_path / "c.parquet", pl.DataFrame(cells, schema=names, orient="row"), {"run": "consol"})
    pool = open_pool(tmp_path / "c.parquet")
    draws = pool.arms["plain"]
    assert pool.problems == [str(line["id"]) for line in lines]
    assert draws.sampled == min(len(line["answers"]) for line in lines)
    for p, line in enumerate(lines):
        votes = Counter(repr(answer) for answer in line["answers"] if answer is not None)
        assert Counter(pool.keys[p][code] for code in draws.codes[p] if code >= 0) == votes
        np.testing.assert_array_equal(draws.column("completion")[p], np.array(line["tokens"], dtype=float))
        np.testing.assert_array_equal(draws.right[p], [answer == line["gold"] for answer in line["answers"]])
