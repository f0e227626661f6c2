#!/bin/bash
#$ -S /bin/bash
#$ -N tt.grid
#$ -j y
#$ -o /data/results/grid.submit/log/
#$ -q long
#$ -t 1-4
#$ -tc 3
#$ -r y
#$ -notify
#$ -pe smp 8
#$ -l h_rt=93600,s_rt=93480
#$ -l gpu=2
#$ -l mem_free=64G
#$ --account=lab
cd '/data/my work' || exit 2
module load cuda
source '/opt/my env/bin/activate'
set -uo pipefail
here=/data/results/grid.submit
testtime=(/env/python -m testtime)
# the GPUs that were given to this part, and no others
given=${CUDA_VISIBLE_DEVICES:-${SGE_HGR_gpu:-}}
export CUDA_VISIBLE_DEVICES=${given// /,}
IFS=, read -ra each <<<"$CUDA_VISIBLE_DEVICES"
if [ ${#each[@]} -lt 2 ]; then
  echo "testtime: 2 GPUs were asked for, and given were: ${CUDA_VISIBLE_DEVICES:-none}" >&2
  exit 2
fi
task=$SGE_TASK_ID
run=$(((task - 1) / 2 + 1)) shard=$(((task - 1) % 2 + 1))/2
rm -f "$here/ended/$task"
export TESTTIME_JOB="$here:$task"  # whoever holds the folder under this name has ended
serves=('model oracle_model' '')
served=()
for key in ${serves[run - 1]}; do
  port=$(/env/python -c '
import socket
with socket.socket() as one:
    one.bind(("127.0.0.1", 0))
    print(one.getsockname()[1])')
  served+=("$key=http://127.0.0.1:$port/v1")
done
[ ${#served[@]} -eq 0 ] || served=(--base_url "${served[@]}")
why='' child=''
# shellcheck disable=SC2317  # traps call it
stop() { why=$1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null; }
trap 'stop "its time was nearly up"' USR1
trap 'stop ended' TERM USR2
"${testtime[@]}" run --config "$here/$run.yaml" --shard "$shard" "${served[@]}" &
child=$!
while :; do  # a signal ends the waiting, not the run
  wait "$child"
  code=$?
  kill -0 "$child" 2>/dev/null || break
done
if [ "$why" = ended ]; then exit "$code"; fi
if [ -z "$why" ] && { [ "$code" = 0 ] || [ "$code" = 3 ]; }; then  # whole, or whole to a cap
  touch "$here/ended/$task"
  exit 0
fi
if [ -z "$why" ]; then
  if [ "$code" -lt 129 ] || [ "$code" = 130 ]; then exit "$code"; fi  # it said why
  count="$here/log/$JOB_ID.$task.killed"
  kills=$(($(cat "$count" 2>/dev/null || echo 0) + 1))
  echo "$kills" >"$count"
  why="killed by signal $((code - 128)), for the $kills. time"
  if [ "$kills" -gt 3 ]; then echo "testtime: part $task was $why: given up" >&2; exit "$code"; fi
fi
echo "testtime: part $task is queued again: $why" >&2
exit 99
