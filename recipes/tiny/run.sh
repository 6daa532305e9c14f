#!/usr/bin/env bash
# A corpus that is made here, and every stage of a recipe on it, in a few minutes on a CPU.
#
# Usage: recipes/tiny/run.sh [--stage N] [--stop-stage N] [--dir DIR]
#
# Stages: 0 speak the corpus, 1 validate it, 2 train, 3 phone accuracy, 4 denoising scores, 5 generate.
# DIR (this folder by default) gets data/ and exp/. What is done is not done again; a training that was stopped
# goes on. Needs: pip install espeakng-loader
set -euo pipefail

stage=0
stop_stage=5
dir=.
. "$(dirname "$0")/../utils/options.sh"
mkdir -p "$dir"
absolute dir
cd "$(dirname "$0")"
. ../utils/path.sh
. ./cmd.sh

data=$dir/data
exp=$dir/exp/tiny
held_out="dot hal" # as in conf/tiny.yaml

if runs 0 && [ ! -e "$data/.done" ]; then
    echo "Stage 0: speaking the corpus"
    $train_cmd "$exp/log/prepare.log" python local/prepare.py "$data/speech"
    touch "$data/.done"
fi
if runs 1; then
    echo "Stage 1: validating it"
    speechjem data validate "$data/speech"
fi
if runs 2; then
    echo "Stage 2: training"
    $train_cmd "$exp/log/train.log" speechjem train conf/tiny.yaml --labelled "$data/speech" -o "$exp"
fi
if runs 3; then
    echo "Stage 3: phone accuracy on the voices held out"
    $train_cmd "$exp/log/phones.log" python "$steps/phone_accuracy.py" "$exp/model" "$data/speech" \
        --speakers $held_out --picture "$exp/confusion.png"
    tail -n 1 "$exp/log/phones.log" | tee "$exp/phones.json"
fi
if runs 4; then
    echo "Stage 4: denoising scores"
    $train_cmd "$exp/log/pairs.log" python "$steps/make_pairs.py" "$data/speech" "$data" --speakers $held_out --count 8
    $train_cmd "$exp/log/denoising.log" python "$steps/denoise_scores.py" "$exp/model" "$data/noisy" "$data/clean"
    tail -n +2 "$exp/log/denoising.log" | tee "$exp/denoising.md"
fi
if runs 5; then
    echo "Stage 5: generating"
    speechjem generate --phonemes "hh ah l ow" --model "$exp/model" -o "$exp/hello.wav" --plot "$exp/chain.png" --force
fi
