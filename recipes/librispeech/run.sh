#!/usr/bin/env bash
# LibriSpeech, 100, 460 or 960 hours of it: from the download to a model and its scores, by many processes.
#
# Usage: recipes/librispeech/run.sh [--hours 100] [--corpus DIR] [--unlabelled DIR] [--noise DIR] [--conf FILE]
#            [--device DEVICE] [--workers N] [--dir DIR] [--nj N] [--stage N] [--stop-stage N]
#
#   --hours       100 (train-clean-100), 460 (and train-clean-360) or 960 (and train-other-500)
#   --corpus      LibriSpeech as it is distributed: the folder with train-clean-100, dev-clean, ...; without, what is
#                 needed is downloaded from OpenSLR (resource 12; 6.7, 30 or 60 GB, as much again unpacked)
#   --unlabelled  more clean speech, for denoising only
#   --noise       recorded noise; without, all noise is synthetic
#   --conf        configuration of the training, conf/librispeech.yaml
#   --device      to train on: auto, cpu, cuda (a GPU for each process) or mps
#   --workers     processes that draw batches for each one that trains; for GPUs
#   --dir         gets data/ and exp/ (this folder by default)
#   --nj          processes for the alignment and for the shards
#
# Stages: 0 download and prepare, 1 align phones, 2 validate, 3 write shards and train, 4 phone accuracy and
# 5 denoising scores on dev-clean, 6 vowels. What is done is not done again; a training that was stopped goes on.
# cmd.sh says how many processes train, and where. Needs: pip install '.[text,pesq-loss,pitch]' praat-parselmouth
set -euo pipefail

hours=100
corpus=
unlabelled=
noise=
conf=
device=auto
workers=0
dir=.
nj=2
stage=0
stop_stage=6
. "$(dirname "$0")/../utils/options.sh"
case $hours in
    100) parts="train-clean-100" ;;
    460) parts="train-clean-100 train-clean-360" ;;
    960) parts="train-clean-100 train-clean-360 train-other-500" ;;
    *) echo "$0: --hours is 100, 460 or 960, not $hours." >&2 && exit 2 ;;
esac
conf=$(realpath "${conf:-$(dirname "$0")/conf/librispeech.yaml}")
mkdir -p "$dir"
absolute corpus unlabelled noise dir
cd "$(dirname "$0")"
. ../utils/path.sh
. ./cmd.sh

resource=12
dev=dev-clean
train=train_$hours
suffix=_$hours
shards=true
. "$steps/librispeech.sh"
