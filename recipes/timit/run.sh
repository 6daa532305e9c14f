#!/usr/bin/env bash
# TIMIT: phones of the core test set, in the field's 39 classes.
#
# Usage: recipes/timit/run.sh --corpus DIR [--dir DIR] [--stage N] [--stop-stage N]
#
#   --corpus  LDC93S1, the folder with TRAIN and TEST
#   --dir     gets data/ and exp/ (this folder by default)
#
# Stages: 0 prepare, 1 validate, 2 train, 3 frame accuracy. What is done is not done again; a training that was
# stopped goes on.
set -euo pipefail

corpus=
dir=.
stage=0
stop_stage=3
. "$(dirname "$0")/../utils/options.sh"
if [ -z "$corpus" ]; then
    echo "$0: give --corpus, the folder of LDC93S1 with TRAIN and TEST." >&2
    exit 2
fi
mkdir -p "$dir"
absolute corpus dir
cd "$(dirname "$0")"
. ../utils/path.sh
. ./cmd.sh

data=$dir/data
exp=$dir/exp/timit

if runs 0 && [ ! -e "$data/.done" ]; then
    echo "Stage 0: preparing"
    $train_cmd "$exp/log/prepare.log" python local/prepare.py "$corpus" "$data"
    touch "$data/.done"
fi
if runs 1; then
    echo "Stage 1: validating"
    speechjem data validate "$data/train"
    speechjem data validate "$data/core_test"
fi
if runs 2; then
    echo "Stage 2: training"
    $train_cmd "$exp/log/train.log" speechjem train conf/timit.yaml --labelled "$data/train" -o "$exp"
fi
if runs 3; then
    echo "Stage 3: frames of the core test set, 39 classes"
    $train_cmd "$exp/log/phones.log" python "$steps/phone_accuracy.py" "$exp/model" "$data/core_test" --classes 39 \
        --speakers $(cut -d' ' -f2 "$data/core_test/utt2spk" | sort -u) --picture "$exp/confusion.png"
    tail -n 1 "$exp/log/phones.log" | tee "$exp/phones.json"
fi
