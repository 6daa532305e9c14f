#!/usr/bin/env bash
# Where the time and the memory go, as tables.
#
# Usage: recipes/bench/run.sh [--stage N] [--stop-stage N] [--threads N] [--device DEVICE]
#            [--shards PATTERN] [--data DATA] [--conf FILE] RECORDING OUT
#
#   RECORDING  audio file, such as samples/noisy.flac
#   OUT        folder for the tables
#   --threads  of stage 1
#   --device   of stage 3: auto, cpu, cuda or mps
#   --shards   shards that 'speechjem data shard' wrote, for stage 2
#   --data     data directory with ali.ctm, for stage 3
#   --conf     configuration of the training of stages 2 and 3 (mini_librispeech's base by default)
#
# Stages: 1 the stages of denoising, 2 a training on shards, 3 updates a second. Nothing else should run.
set -euo pipefail

stage=1
stop_stage=3
threads=1
device=auto
shards=
data=
conf=$(dirname "$0")/../mini_librispeech/conf/base.yaml
. "$(dirname "$0")/../utils/options.sh"
if [ $# -ne 2 ]; then
    _usage >&2
    exit 2
fi
recording=$1 out=$2
here=$(dirname "$0")
mkdir -p "$out"

if runs 1; then
    python "$here/stages.py" "$recording" --threads "$threads" | tee "$out/stages.md"
fi
if runs 2 && [ -n "$shards" ]; then
    python "$here/streaming.py" "$conf" "$shards" | tee "$out/streaming.txt"
fi
if runs 3 && [ -n "$data" ]; then
    python "$here/updates.py" "$conf" "$data" --device "$device" | tee "$out/updates.txt"
fi
