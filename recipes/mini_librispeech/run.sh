#!/usr/bin/env bash
# mini LibriSpeech, from the download to a model and its scores.
#
# Usage: recipes/mini_librispeech/run.sh [--corpus DIR] [--unlabelled DIR] [--noise DIR] [--quick true]
#            [--models DIR] [--device DEVICE] [--workers N] [--dir DIR] [--nj N] [--stage N] [--stop-stage N]
#
#   --corpus      LibriSpeech's train-clean-5, as it is distributed or as a data directory with text; an
#                 ali.ctm in it is used. Without, it is downloaded from OpenSLR (resource 31, 332 MB)
#   --unlabelled  more clean speech, for denoising only
#   --noise       recorded noise; without, all noise is synthetic
#   --quick       a short training, conf/quick.yaml, instead of that of the shipped model, conf/base.yaml
#   --models      folder of models that gets the model and its pictures, such as models
#   --device      to train on: auto, cpu, cuda or mps
#   --workers     processes that draw batches for the one that trains; for a GPU
#   --dir         gets data/ and exp/ (this folder by default)
#   --nj          processes for the alignment
#
# Stages: 0 download and prepare, 1 align phones, 2 validate, 3 train, 4 phone accuracy, 5 denoising scores,
# 6 vowels, 7 copy to --models. What is done is not done again; a training that was stopped goes on. Needs:
# pip install '.[text,pesq-loss,pitch]' praat-parselmouth
set -euo pipefail

corpus=
unlabelled=
noise=
quick=false
models=
device=auto
workers=0
dir=.
nj=2
stage=0
stop_stage=7
. "$(dirname "$0")/../utils/options.sh"
mkdir -p "$dir"
absolute corpus unlabelled noise models dir
cd "$(dirname "$0")"
. ../utils/path.sh
. ./cmd.sh

resource=31
parts=train-clean-5
[ -z "$corpus" ] || parts=. # the folder given is the part itself
dev=
held_out="19 7859 1867 3242" # as in conf
shards=false
conf=conf/base.yaml
[ "$quick" = false ] || conf=conf/quick.yaml
suffix=
train=train
. "$steps/librispeech.sh"

if runs 7 && [ -n "$models" ]; then
    shipped=$models/$(basename "$exp")
    echo "Stage 7: copying the model to $shipped"
    mkdir -p "$shipped"
    for file in "$exp"/model/* "$exp"/*.png; do
        cp "$file" "$shipped/.new"
        mv "$shipped/.new" "$shipped/$(basename "$file")"
    done
fi
