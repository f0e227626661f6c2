#!/bin/bash
#$ -S /bin/bash
#$ -N tt.plain.merge
#$ -j y
#$ -o /data/results/plain.submit/log/
cd /data || exit 2
set -uo pipefail
here=/data/results/plain.submit
testtime=(/env/python -m testtime)
code=0 outcomes=()
merge() {  # FIRST TASK, OUTCOMES, SHARDS…
  local task lacks=() outcome=$2
  for ((task = $1; task < $1 + 4; task++)); do
    [ -e "$here/ended/$task" ] || lacks+=("$task")
  done
  if [ ${#lacks[@]} -gt 0 ]; then
    echo "testtime: these parts have not ended, so their run is not merged: ${lacks[*]}" >&2
    code=1
    return
  fi
  shift 2
  "${testtime[@]}" merge "$@"
  local said=$?
  [ "$said" = 0 ] || [ "$said" = 3 ] || code=$said  # 3: a cap was met, and it is whole as far as that
  if [ -e "$outcome" ]; then outcomes+=("$outcome"); fi
}
merge 1 /data/results/plain.jsonl /data/results/plain.1of4 /data/results/plain.2of4 /data/results/plain.3of4 /data/results/plain.4of4
exit "$code"
