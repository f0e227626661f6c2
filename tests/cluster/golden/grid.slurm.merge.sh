#!/bin/bash
#SBATCH --job-name=tt.grid.merge
#SBATCH --output="/data/results/grid.submit/log/%j.merge.log"
#SBATCH --partition=long
#SBATCH --account=lab
cd '/data/my work' || exit 2
module load cuda
source '/opt/my env/bin/activate'
set -uo pipefail
here=/data/results/grid.submit
testtime=(/env/python -m testtime)
code=0 outcomes=()
merge() {  # FIRST TASK, OUTCOMES, SHARDS…
  local task lacks=() outcome=$2
  for ((task = $1; task < $1 + 2; task++)); do
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
merge 1 /data/results/a.jsonl /data/results/a.1of2 /data/results/a.2of2
merge 3 '/data/results/b c.jsonl' '/data/results/b c.1of2' '/data/results/b c.2of2'
if [ "$code" = 0 ] && [ ${#outcomes[@]} -gt 0 ]; then
  "${testtime[@]}" analyze --glob "${outcomes[@]}" --out_csv "$here/summary.csv" || code=$?
fi
exit "$code"
