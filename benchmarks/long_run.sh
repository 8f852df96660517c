#!/usr/bin/env bash
# Starts, or resumes, the long training of the table mapping in one line:
#
#     nohup benchmarks/long_run.sh &
#
# It runs on one core from a copy of the code of its own, so that moving files cannot break it. Everything lies under
# MAPSTO_RUNS (by default ~/.cache/mapsto); a checkpoint is written every 200 steps, and a run without one starts from
# the shipped weights. To pause while something is timed: kill -STOP "$(cat "$MAPSTO_RUNS/long.pid")", then -CONT.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

runs=${MAPSTO_RUNS:-$HOME/.cache/mapsto}
tree=$runs/code
config=configs/tables-long.yaml
commit=$(git log -1 --format=%H -- "$config")  # the code that the configuration was written for

if [ ! -d "$tree" ]; then
  mkdir -p "$runs"
  git clone --quiet --shared . "$tree"
  git -C "$tree" checkout --quiet --detach "$commit"
fi
[ -e "$tree/.venv/.package" ] || make -C "$tree" .venv/.package

echo $$ > "$runs/long.pid"
export OMP_NUM_THREADS=1
cd "$tree"
exec .venv/bin/mapsto train --config "$config" --run "$runs/long" --resume --init mapsto/weights/tables.safetensors
