#!/usr/bin/env bash
# Which ways to train an energy model survive, as tables and a picture.
#
# Usage: recipes/stability/run.sh [--stage N] [--stop-stage N] [--seeds N] [--jobs N] [--images DIR]
#            DATA NOISE OUT
#
#   DATA      data directory of mini_librispeech, with ali.ctm
#   NOISE     folder of recorded noise
#   OUT       folder for the runs, the tables and the picture; what is there is not run again
#   --images  folder of Fashion-MNIST, for stage 3 (/usr/share/datasets/fashion-mnist by default)
#   --seeds   trainings a row
#   --jobs    trainings at once, one core each
#
# Stages: 1 thirteen ways on speech, 2 the map of step sizes and learning rates, 3 eleven ways on images.
set -euo pipefail

stage=1
stop_stage=3
seeds=5
jobs=1
images=/usr/share/datasets/fashion-mnist
. "$(dirname "$0")/../utils/options.sh"
if [ $# -ne 3 ]; then
    _usage >&2
    exit 2
fi
data=$1 noise=$2 out=$3
here=$(dirname "$0")
study="python $here/local/study.py"
mkdir -p "$out"

if runs 1; then
    $study "$here/conf/base.yaml" --labelled "$data" --noise "$noise" --out "$out/study.jsonl" \
        --seeds "$seeds" --jobs "$jobs"
    $study --table "$out/study.jsonl" | tee "$out/study.md"
fi
if runs 2; then
    $study "$here/conf/map.yaml" --labelled "$data" --noise "$noise" --map --out "$out/map.jsonl" \
        --seeds "$seeds" --jobs "$jobs"
    $study --picture "$out/map.png" "$out/map.jsonl"
fi
if runs 3; then
    $study "$here/conf/images.yaml" --images "$images" --out "$out/images.jsonl" --seeds "$seeds" --jobs "$jobs"
    $study --table "$out/images.jsonl" | tee "$out/images.md"
fi
