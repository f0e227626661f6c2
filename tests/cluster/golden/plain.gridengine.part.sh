#!/bin/bash
#$ -S /bin/bash
#$ -N tt.plain
#$ -j y
#$ -o /data/results/plain.submit/log/
#$ -t 1-4
#$ -r y
#$ -notify
cd /data || exit 2
set -uo pipefail
here=/data/results/plain.submit
testtime=(/env/python -m testtime)
task=$SGE_TASK_ID
run=$(((task - 1) / 4 + 1)) shard=$(((task - 1) % 4 + 1))/4
rm -f "$here/ended/$task"
export TESTTIME_JOB="$here:$task"  # whoever holds the folder under this name has ended
why='' child=''
# shellcheck disable=SC2317  # traps call it
stop() { why=$1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null; }
trap 'stop "its time was nearly up"' USR1
trap 'stop ended' TERM USR2
"${testtime[@]}" run --config "$here/$run.yaml" --shard "$shard" &
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
