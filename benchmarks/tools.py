"""How far the mocks of tools reach: coverage and confidence on the function sets of BFCL v4, which they were not made
from, with the arguments of the first possible answer.

    python -m benchmarks.tools [FOLDER of BFCL_v4_*.json.gz]
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from testtime.core.definitions import definition, disobeys
from testtime.core.errors import ToolError
from testtime.decoding.tools import Tools
from testtime.tasks.bfcl import Bfcl
from testtime.tools.mock import Mocked, like, mock

HERE = Path(__file__).parents[2] / "shared" / "data" / "bfcl_v4"
BINS = (0.0, 0.2, 0.3, 0.4, 0.6, 0.8, 0.95, 1.01)


def main() -> None:
    """Prints a table a file."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    threshold = Tools().mock_threshold
    for path in sorted(folder.glob("BFCL_v4_*.json.gz")):
        made, wrong, seen = list[Mocked](), Counter[str](), set[str]()
        for problem in Bfcl(path).problems("test"):
            for call in problem.fields["possible"] or ():
                ((name, values),) = call.items()
                tool = next(one for one in map(definition, problem.fields["tools"]) if one.name == name)
                arguments = _first(values)
                wrong["arguments disobey the schema"] += disobeys(arguments, tool.parameters) is not None
                try:
                    one = mock(tool, arguments, 0)
                except ToolError:
                    wrong["computed, and the arguments have no result"] += 1
                    continue
                made.append(one)
                seen.add(name)
                wrong["nothing known of it"] += like(tool).category == "unknown"
        _print(path.name, made, len(seen), threshold, wrong)


def _first(values: Any) -> Any:
    """The first of the possible values, at every level; an argument that may only be left out is."""
    if isinstance(values, dict):
        chosen = {key: next((one for one in given if one != ""), "") for key, given in values.items()}
        return {key: _first(one) for key, one in chosen.items() if one != ""}
    return [_first(one) for one in values] if isinstance(values, list) else values


def _print(name: str, made: list[Mocked], functions: int, threshold: float, wrong: Counter[str]) -> None:
    used = [one for one in made if one.confidence >= threshold]
    print(f"\n{name}: {len(made)} calls of {functions} functions, {len(used) / len(made):.1%} at {threshold} or above")
    for low, high in itertools.pairwise(BINS):
        inside = [one for one in made if low <= one.confidence < high]
        print(f"  confidence {low:.2f} to {high:.2f}: {len(inside):4} ({len(inside) / len(made):.1%})")
    print(f"  computed: {sum(one.confidence == 1 for one in made)}")
    for what, count in wrong.items():
        print(f"  {what}: {count}")
    every, by = Counter(one.category for one in made), Counter(one.category for one in used)
    shares = (f"{domain} {by[domain]}/{count}" for domain, count in every.most_common())
    print("  used / all by domain:", ", ".join(shares))


if __name__ == "__main__":
    main()
