"""What is known against the pinned versions, by pip-audit.

Fails where something is known; what could not be looked up (no network, another registry) is said, and fails nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

LOCK = "requirements.lock"


def said(found: Mapping[str, Any]) -> tuple[list[str], bool]:
    """Lines to print for what pip-audit found, and whether something is known against a version."""
    every = found["dependencies"]
    bad = [one for one in every if one.get("vulns")]
    skipped = [one for one in every if "skip_reason" in one]
    lines = [
        f"{one['name']} {one['version']}: {', '.join(each['id'] for each in one['vulns'])}; see `make lock`"
        for one in bad
    ]
    looked = len(every) - len(skipped)
    if not looked:
        lines.append(f"no audit was made: none of {len(every)} pinned versions can be looked up from here")
    elif skipped:
        first = skipped[0]["name"]
        lines.append(f"{len(skipped)} of {len(every)} pinned versions cannot be looked up from here, {first} the first")
    if looked and not bad:
        lines.append(f"nothing is known against {looked} pinned versions")
    return lines, bool(bad)


def main() -> int:
    """1 where something is known; 0 else, also where the database cannot be reached, which it says."""
    words = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--requirement", LOCK]
    done = subprocess.run([*words, "--format", "json", "--progress-spinner", "off"], capture_output=True, text=True)
    if not done.stdout.strip():
        why = (done.stderr.strip().split("\n") or [""])[-1][:200]
        print(f"no audit was made: pip-audit ended with code {done.returncode}: {why}")
        return 0
    lines, bad = said(json.loads(done.stdout))
    print("\n".join(lines))
    return int(bad)


if __name__ == "__main__":
    raise SystemExit(main())
