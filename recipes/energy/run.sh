#!/usr/bin/env bash
# What a classifier that is an energy model is good for beside its first use, as tables.
#
# Usage: recipes/energy/run.sh [--stage N] [--stop-stage N] DATA NOISE OUT MODEL [MODEL ...]
#
#   DATA   data directory of mini_librispeech, with ali.ctm
#   NOISE  folder of recorded noise
#   OUT    folder for the tables and the picture
#   MODEL  model folder, such as models/base
#
# Stages: 1 calibration, 2 out-of-distribution detection, 3 adversarial perturbations, 4 semi-supervised training
# (its own small models). Needs: pip install espeakng-loader foolbox scikit-learn
set -euo pipefail

stage=1
stop_stage=4
. "$(dirname "$0")/../utils/options.sh"
if [ $# -lt 4 ]; then
    _usage >&2
    exit 2
fi
data=$1 noise=$2 out=$3
models=("${@:4}")
here=$(dirname "$0")
mkdir -p "$out"

if runs 1; then
    python "$here/local/calibration.py" "$data" "${models[@]}" --picture "$out/reliability.png" |
        tee "$out/calibration.md"
fi
if runs 2; then
    python "$here/local/out_of_distribution.py" "$data" "${models[@]}" --noise "$noise" |
        tee "$out/out_of_distribution.md"
fi
if runs 3; then
    python "$here/local/adversarial.py" "$data" "${models[@]}" | tee "$out/adversarial.md"
fi
if runs 4; then
    python "$here/local/semi_supervised.py" "$here/conf/semi_supervised.yaml" "$data" --out "$out/semi.jsonl"
    python "$here/local/semi_supervised.py" --table "$out/semi.jsonl" | tee "$out/semi.md"
fi
