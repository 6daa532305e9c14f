#!/usr/bin/env bash
# mini LibriSpeech, from the download to a model and its scores.
#
# Usage: recipes/mini_librispeech/run.sh [--corpus DIR] [--unlabelled DIR] [--noise DIR] [--quick true]
#            [--dir DIR] [--nj N] [--stage N] [--stop-stage N]
#
#   --corpus      LibriSpeech's train-clean-5, as it is distributed or as a data directory with text; an
#                 ali.ctm in it is used. Without, it is downloaded from OpenSLR (resource 31, 332 MB)
#   --unlabelled  more clean speech, for denoising only
#   --noise       recorded noise; without, all noise is synthetic
#   --quick       a short training, conf/quick.yaml, instead of conf/scratch.yaml
#   --dir         gets data/ and exp/ (this folder by default)
#   --nj          processes for the alignment
#
# Stages: 0 download and prepare, 1 align phones, 2 validate, 3 train, 4 phone accuracy, 5 denoising scores,
# 6 vowels. What is done is not done again; a training that was stopped goes on. Needs:
# pip install '.[text,pesq-loss]' praat-parselmouth
set -euo pipefail

corpus=
unlabelled=
noise=
quick=false
dir=.
nj=2
stage=0
stop_stage=6
. "$(dirname "$0")/../utils/options.sh"
for path in corpus unlabelled noise; do
    [ -z "${!path}" ] || printf -v $path %s "$(cd "${!path}" && pwd)"
done
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
cd "$(dirname "$0")"
. ./path.sh
. ./cmd.sh

url=https://www.openslr.org/resources/31/train-clean-5.tar.gz
conf=scratch
[ "$quick" = false ] || conf=quick
data=$dir/data
train=$data/train
exp=$dir/exp/$conf
held_out="19 7859 1867 3242" # as in conf

if runs 0 && [ ! -e "$train/.done" ]; then
    if [ -z "$corpus" ]; then
        echo "Stage 0: downloading train-clean-5"
        mkdir -p "$data"
        curl --fail --location --continue-at - --output "$data/train-clean-5.tar.gz" $url
        tar -xzf "$data/train-clean-5.tar.gz" -C "$data"
        corpus=$data/LibriSpeech/train-clean-5
    fi
    echo "Stage 0: preparing $corpus"
    $train_cmd "$exp/log/prepare.log" python local/prepare.py "$corpus" "$train"
    touch "$train/.done"
fi
if runs 1 && [ ! -e "$train/ali.ctm" ]; then
    echo "Stage 1: aligning"
    $train_cmd "$exp/log/align.log" python "$steps/align.py" "$train" --nj "$nj"
fi
if runs 2; then
    echo "Stage 2: validating"
    speechjem data validate "$train"
fi
if runs 3; then
    echo "Stage 3: training"
    $train_cmd "$exp/log/train.log" speechjem train conf/$conf.yaml --labelled "$train" -o "$exp" \
        ${unlabelled:+--unlabelled "$unlabelled"} ${noise:+--noise "$noise"}
fi
if runs 4; then
    echo "Stage 4: phone accuracy on the speakers held out"
    $train_cmd "$exp/phones.json" python "$steps/phone_accuracy.py" "$exp/model" "$train" \
        --speakers $held_out --picture "$exp/confusion.png"
    tail -n 1 "$exp/phones.json"
fi
if runs 5; then
    echo "Stage 5: denoising scores"
    $train_cmd "$exp/log/pairs.log" python "$steps/make_pairs.py" "$train" "$data" --speakers $held_out \
        ${noise:+--noise "$noise"}
    $train_cmd "$exp/denoising.md" python "$steps/denoise_scores.py" "$exp/model" "$data/noisy" "$data/clean"
    tail -n +2 "$exp/denoising.md"
fi
if runs 6; then
    echo "Stage 6: vowels"
    $train_cmd "$exp/vowels.md" python "$recipes/generate/local/vowels.py" "$exp/model" --chart "$exp/vowels.png"
    tail -n +2 "$exp/vowels.md"
fi
