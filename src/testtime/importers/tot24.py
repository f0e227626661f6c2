"""A hundred answers to each of 100 Games of 24, as the Tree-of-Thoughts logs record them.

Rows are `{idx, ys[], infos[]}` with whole texts (Yao et al. 2023, arXiv 2305.10601). The last line of a
text votes, whatever it says: most are `Answer: …`, some that no solution was found. Right is what
the log says (`r` of `infos`). The log has tokens by problem, not by answer, so tokens are unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from testtime.core.rows import Row
from testtime.core.rows import read as read_rows
from testtime.importers.imported import Ids, Imported, imported, items, texts

KEYS = frozenset({"idx", "ys", "infos"})
VOTE = "the last line of the text"


def read(path: Path | str) -> Imported:
    """The candidates of the file. Raises BadInput naming file and line."""
    ids = Ids()
    candidates = [candidate for row in read_rows(path) for candidate in _candidates(row, ids.take(row, "idx"))]
    caveats = ["tokens are recorded by problem only: unknown by candidate"]
    return imported(candidates, path, vote=VOTE, method="recorded in the file", dataset="game24", caveats=caveats)


def _candidates(row: Row, query: str) -> Iterator[dict[str, Any]]:
    said = texts(row, "ys")
    for at, (answer, info) in enumerate(zip(said, items(row, "infos", len(said)), strict=True)):
        right = info.get("r") if isinstance(info, dict) else None
        if isinstance(right, bool) or right not in (0, 1):
            row.bad(f"infos[{at}] has no 'r' of 0 or 1")
        line = answer.strip().rpartition("\n")[2].strip()
        yield {
            "query_id": query,
            "candidate_idx": at,
            "answer": line or None,
            "answer_key": line or None,
            "candidate_text": answer,
            "is_verified": right == 1,
        }
