#!/usr/bin/env bash
# VoiceBank-DEMAND: the standard test set at 16 kHz beside other denoisers, and a training on the training set.
#
# Usage: recipes/voicebank_demand/run.sh [--corpus DIR] [--train true] [--model DIR] [--conf FILE] [--peers "NAME ..."]
#            [--device DEVICE] [--workers N] [--dir DIR] [--nj N] [--stage N] [--stop-stage N]
#
#   --corpus  folder with clean_testset_wav, noisy_testset_wav, ..., unpacked; without, what is needed is downloaded
#             from Edinburgh DataShare (https://doi.org/10.7488/ds/2117; 0.3 GB, 5.3 GB with the training set)
#   --train   train a model on the clean speech and the noises (noisy minus clean) of the 28 training speakers
#   --model   model folder to measure; by default the one trained here, or else the shipped one
#   --conf    configuration of the training, conf/voicebank_demand.yaml
#   --peers   other denoisers, of those in recipes/denoise/local/peers.py; all by default
#   --device  to train on: auto, cpu, cuda or mps
#   --workers processes that draw batches for the one that trains; for a GPU
#   --dir     gets data/ and exp/ (this folder by default)
#   --nj      processes that prepare and align
#
# Stages: 0 download and prepare, 1 validate, 2 align phones and 3 train (both with --train true), 4 denoising scores
# of all modes, 5 scores beside the peers. What is done is not done again; a training that was stopped goes on.
# Needs: for stage 2 and 3 pip install '.[text,pesq-loss]', for stage 5 speechmos and what peers.py names
set -euo pipefail

corpus=
train=false
model=
conf=
peers=
device=auto
workers=0
dir=.
nj=2
stage=0
stop_stage=5
. "$(dirname "$0")/../utils/options.sh"
mkdir -p "$dir"
absolute corpus model dir
conf=$(realpath "${conf:-$(dirname "$0")/conf/voicebank_demand.yaml}")
cd "$(dirname "$0")"
. ../utils/path.sh
. ./cmd.sh

parts=test
if [ "$train" = true ]; then
    parts="test train"
fi
folders_of() { # PART
    case $1 in
        test) echo clean_testset_wav noisy_testset_wav ;;
        train) echo clean_trainset_28spk_wav noisy_trainset_28spk_wav trainset_28spk_txt ;;
    esac
}
for part in ${corpus:+$parts}; do
    for folder in $(folders_of "$part"); do
        if [ ! -d "$corpus/$folder" ]; then
            echo "$0: there is no $folder in $corpus; give --corpus the folder that has it." >&2
            exit 2
        fi
    done
done

data=$dir/data
exp=$dir/exp/$(basename "$conf" .yaml)
if [ -z "$model" ]; then
    model=$recipes/../models/base
    [ "$train" = false ] || model=$exp/model
fi

for part in $parts; do
    if runs 0 && [ ! -e "$data/.done_$part" ]; then
        for folder in $([ -n "$corpus" ] || folders_of "$part"); do
            echo "Stage 0: downloading $folder"
            "$utils/download.sh" "https://datashare.ed.ac.uk/bitstream/handle/10283/2791/$folder.zip" "$data/$folder.zip"
            python -m zipfile -e "$data/$folder.zip" "$data/corpus"
        done
        echo "Stage 0: preparing the $part set"
        $train_cmd "$exp/log/prepare_$part.log" \
            python local/prepare.py "${corpus:-$data/corpus}" "$part" "$data" --nj "$nj"
        touch "$data/.done_$part"
    fi
done
if runs 1; then
    echo "Stage 1: validating"
    for part in $parts; do
        speechjem data validate "$data/${part}_clean"
        speechjem data validate "$data/${part}_noisy"
    done
fi
if [ "$train" = true ]; then
    if runs 2 && [ ! -e "$data/train_clean/ali.ctm" ]; then
        echo "Stage 2: aligning"
        $train_cmd "$exp/log/align.log" python "$steps/align.py" "$data/train_clean" --nj "$nj"
    fi
    if runs 3; then
        echo "Stage 3: training"
        $train_cmd "$exp/log/train.log" speechjem train "$conf" --labelled "$data/train_clean" --noise "$data/noise" \
            -o "$exp" --device "$device" --workers "$workers"
    fi
fi
noisy=$data/test_16k/noisy clean=$data/test_16k/clean
if runs 4; then
    echo "Stage 4: denoising scores"
    $train_cmd "$exp/log/denoising.log" python "$steps/denoise_scores.py" "$model" "$noisy" "$clean"
    tail -n +2 "$exp/log/denoising.log" | tee "$exp/denoising.md"
fi
if runs 5; then
    echo "Stage 5: beside the peers"
    $train_cmd "$exp/log/peers.log" python "$recipes/denoise/local/compare.py" "$model" "$noisy" "$clean" \
        ${peers:+--only $peers}
    tail -n +2 "$exp/log/peers.log" | tee "$exp/peers.md"
fi
