#!/usr/bin/env bash
# Adapt the shipped model to one's own voices and noise, and measure what that gained and lost.
#
# Usage: recipes/adapt/run.sh --voices DIR --noise DIR [--start MODEL] [--conf FILE] [--elsewhere DIR] [--dir DIR]
#            [--stage N] [--stop-stage N]
#
#   --voices     recordings of the voices without noise, five or more
#   --noise      recordings of the noise without voices, five or more
#   --start      model to start from (base)
#   --conf       of the training (conf/adapt.yaml)
#   --elsewhere  folder with noisy/ and clean/: pairs of another kind, on which the models are compared too
#   --dir        gets data/ and exp/ (this folder by default)
#
# Stages: 0 lay out the data and hold every fifth file back, 1 train, 2 scores of the voices in the noise that were
# held back, before and after, 3 scores elsewhere. A training that was stopped goes on. Needs: pip install '.[pesq-loss]'
set -euo pipefail

voices=
noise=
start=base
conf=
elsewhere=
dir=.
stage=0
stop_stage=3
. "$(dirname "$0")/../utils/options.sh"
if [ -z "$voices" ] || [ -z "$noise" ]; then
    _usage >&2
    exit 2
fi
mkdir -p "$dir"
absolute voices noise elsewhere dir
[ ! -d "$start" ] || absolute start
[ -z "$conf" ] || conf=$(realpath "$conf")
cd "$(dirname "$0")"
. ../utils/path.sh
. ./cmd.sh

data=$dir/data
exp=$dir/exp/adapt

if runs 0 && [ ! -e "$data/.done" ]; then
    echo "Stage 0: laying out the data"
    $train_cmd "$exp/log/prepare.log" python local/prepare.py "$voices" "$noise" "$data" --model "$start"
    $train_cmd "$exp/log/pairs.log" python "$steps/make_pairs.py" "$data/voices/held_back" "$data" --speakers own \
        --noise "$data/noise/held_back" --count 20
    touch "$data/.done"
fi
if runs 1; then
    echo "Stage 1: training"
    $train_cmd "$exp/log/train.log" speechjem train "${conf:-conf/adapt.yaml}" --start "$start" \
        --labelled "$data/voices/train" --noise "$data/noise/train" -o "$exp"
fi
if runs 2; then
    echo "Stage 2: scores of these voices in this noise"
    $train_cmd "$exp/log/own.log" python local/gain.py "$data/noisy" "$data/clean" "$start" "$exp/model"
    tail -n +2 "$exp/log/own.log" | tee "$exp/own.md"
fi
if runs 3 && [ -n "$elsewhere" ]; then
    echo "Stage 3: scores elsewhere"
    $train_cmd "$exp/log/elsewhere.log" python local/gain.py "$elsewhere/noisy" "$elsewhere/clean" "$start" "$exp/model"
    tail -n +2 "$exp/log/elsewhere.log" | tee "$exp/elsewhere.md"
fi
