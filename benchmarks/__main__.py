"""Runs the benchmarks on one core and prints a table. FILE holds rows `{id, gold, answers[], tokens[]}`."""

from __future__ import annotations

import os
import sys

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ[name] = "1"  # read when the libraries are loaded, hence before them

from benchmarks import replay  # noqa: E402

replay.main(sys.argv[1] if len(sys.argv) > 1 else None)
