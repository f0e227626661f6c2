"""What the verifier of mathematical answers agrees with, and how fast it is: `python -m benchmarks.verifiers DATA`.

DATA is the folder of the recorded data sets. Printed: agreement with other graders' cases, each disagreement, negatives
accepted, labels re-verified, how often two equal answers have two keys, and verdicts a second, with isolation and in
process.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import os
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from testtime.answers import expression, final, numbers
from testtime.verifiers import equality
from testtime.verifiers.math import Finding, compare, judge_pair, workers

CASES = ("math_verify_first_half", "math_verify_open_thoughts", "nemo_skills_math_equal", "verifiers_math_rubric")


def main(data: Path) -> None:
    """Prints everything."""
    asyncio.run(_main(data))


async def _main(data: Path) -> None:
    await cases(data)
    await negatives(data)
    await labels(data)
    await keys(data)
    await speed(data)


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON Lines file."""
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in text.decode().split("\n") if line]


async def cases(data: Path) -> None:
    """Other graders' cases."""
    for name in CASES:
        several = rows(data / "math_equivalence" / f"{name}.jsonl")
        found = await together(judge_pair(r["gold"], r["prediction"], r["options"]) for r in several)
        for expected in (True, False):
            of = [(r, f) for r, f in zip(several, found, strict=True) if r["expected"] is expected]
            agreed = sum(f.value is expected for _, f in of)
            print(f"{name}: {agreed} of {len(of)} expected {str(expected).lower()}")
        for r, f in zip(several, found, strict=True):
            if f.value is not r["expected"]:
                print(f"  not {r['expected']}: {r['gold'][:60]!r} | {r['prediction'][-60:]!r} by {f.method} {f.why}")


async def negatives(data: Path) -> None:
    """Each answer of MATH-500 against 20 others of its type that are unequal by the exact key."""
    golds = [row["answer"] for row in rows(data / "math" / "math500.jsonl")]
    by_type: dict[str, list[str]] = defaultdict(list)
    for gold in dict.fromkeys(golds):
        by_type[kind(gold)].append(gold)
    dice = random.Random(0)
    pairs = []
    for gold in golds:
        others = [one for one in by_type[kind(gold)] if expression.key(one) != expression.key(gold)]
        pairs += [(gold, other) for other in dice.sample(others, min(20, len(others)))]
    found = await together(compare(*pair) for pair in pairs)
    accepted = [(pair, f) for pair, f in zip(pairs, found, strict=True) if f.value]
    print(f"negatives: {len(accepted)} of {len(pairs)} accepted; types {dict(Counter(map(kind, golds)))}")
    for pair, f in accepted:
        print(f"  accepted: {pair} by {f.method}")
    print(f"  methods {dict(Counter(f.method for f in found))}")


def kind(answer: str) -> str:
    """The type of an answer."""
    key = expression.key(answer) or ""
    value = numbers.parse(key)
    if value is not None:
        return "integer" if value.denominator == 1 else "rational"
    if key[:1] in "([{" or "∪" in key:
        return "collection"
    return "word" if key.replace(" ", "").isalpha() and len(key) > 2 else "expression"


async def labels(data: Path) -> None:
    """Recorded correctness, judged anew from the whole text."""
    several = rows(data / "qwen_math_rm8" / "math_cot_100.jsonl.gz")
    pairs = [(row["gt"], text, label) for row in several for text, label in zip(row["code"], row["score"], strict=True)]
    found = await together(judge_pair(gold, text) for gold, text, _ in pairs)
    differ = [(pair, f) for pair, f in zip(pairs, found, strict=True) if f.value is not pair[2]]
    print(f"qwen_math_rm8: {len(pairs) - len(differ)} of {len(pairs)} labels agree")
    for (gold, text, label), f in differ:
        print(f"  label {label}: {gold!r} | {final.mathematics(text)[0]!r} by {f.method} {f.why}")
    print(f"  methods {dict(Counter(f.method for f in found))}")


async def keys(data: Path) -> None:
    """How often two answers to one problem are equal and have two keys."""
    several = rows(data / "qwen_math_rm8" / "math_cot_100.jsonl.gz")
    apart, pairs, forms = [], 0, 0
    for row in several:
        printed = {key: said for said, key in map(final.mathematics, row["code"]) if key}
        texts = {said for said, key in map(final.mathematics, row["code"]) if key}
        forms += len(texts)
        for one, two in itertools.combinations(printed.values(), 2):
            pairs += 1
            equal = [(await compare(*pair)).value for pair in ((one, two), (two, one))]
            if any(equal):
                apart.append((one, two, all(equal)))
    print(f"keys, qwen_math_rm8: {forms} texts; {pairs} pairs of keys within a problem, {len(apart)} of equal answers")
    for pair in apart:
        print(f"  two keys: {pair}")
    merged = await solutions(data)
    print(f"keys, MATH-500: {merged}")


async def solutions(data: Path) -> str:
    """MATH-500 answers against rewritings of them that change no value."""
    golds = [row["answer"] for row in rows(data / "math" / "math500.jsonl")]
    made = [(gold, new) for gold in golds for new in rewritten(gold) if new != gold]
    differ = [(gold, new) for gold, new in made if expression.key(gold) != expression.key(new)]
    for pair in differ:
        print(f"  two keys: {pair}")
    return f"{len(made)} rewritings, {len(differ)} with another key"


def rewritten(gold: str) -> Iterable[str]:
    """Other spellings of an answer."""
    yield gold.replace("\\frac", "\\dfrac")
    yield gold.replace("\\left", "").replace("\\right", "")
    yield gold.replace(" ", "")
    yield f"x = {gold}" if "=" not in gold and "," not in gold and "\\text" not in gold else gold
    yield f"${gold}$"
    value = numbers.parse(expression.key(gold) or "")
    if value is not None and value.denominator != 1:
        yield f"\\frac{{{value.numerator}}}{{{value.denominator}}}"
        yield f"\\frac{{{3 * value.numerator}}}{{{3 * value.denominator}}}"


async def speed(data: Path) -> None:
    """Verdicts a second: through the stage, with every pair sent to a worker, and by math-verify in this process."""
    several = rows(data / "qwen_math_rm8" / "math_cot_100.jsonl.gz")
    pairs = [(row["gt"], said) for row in several for text in row["code"] if (said := final.mathematics(text)[0])]
    await workers().ask({"gold": "1", "prediction": "1"})
    await asyncio.gather(*[workers().ask({"gold": "1", "prediction": "1"}) for _ in range(8)])
    expression._key.cache_clear()
    timed("stage, isolated", len(pairs), await clocked(together(compare(*pair) for pair in pairs)))
    jobs = [{"gold": gold, "prediction": said} for gold, said in pairs]
    timed("every pair in a worker", len(pairs), await clocked(together(workers().ask(job) for job in jobs)))
    start = time.perf_counter(), time.process_time()
    for gold, said in pairs:
        equality.compare(gold, said, {})
    timed("math-verify in process", len(pairs), (time.perf_counter() - start[0], time.process_time() - start[1]))
    print(f"  {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


async def clocked(work: Any) -> tuple[float, float]:
    """Wall and own processor seconds of some work."""
    start = time.perf_counter(), time.process_time()
    await work
    return time.perf_counter() - start[0], time.process_time() - start[1]


def timed(what: str, count: int, seconds: Sequence[float]) -> None:
    """Prints a rate."""
    of = f"{count} in {seconds[0]:.2f} s, {seconds[1]:.2f} s of this process"
    print(f"{what}: {count / seconds[0]:,.0f} verdicts/s ({of})")


async def together(several: Iterable[Any]) -> list[Finding]:
    """All of them at once, as a run would ask."""
    return list(await asyncio.gather(*several))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
