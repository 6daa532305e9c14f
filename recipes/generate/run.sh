#!/usr/bin/env bash
# Measures generated speech, and prints the tables of RESULTS.md.
#
# Usage: recipes/generate/run.sh [--stage N] [--stop-stage N] MODEL DATA CLEAN OUT
#
#   MODEL  model folder, such as models/daylight
#   DATA   data directory of mini_librispeech, with text and ali.ctm
#   CLEAN  folder of clean speech, for copy-synthesis
#   OUT    folder for the tables, the pictures and the vocoder
#
# Stages: 1 train the vocoder (40 minutes on one core; its file is used if it is there), 2 phones, 3 vowels,
# 4 words, 5 inversion, 6 gaps. Needs: pip install '.[text]' jiwer praat-parselmouth pyworld-prebuilt speechmos auraloss
set -euo pipefail

stage=1
stop_stage=6
while [[ ${1:-} == --* ]]; do
    case $1 in
        --stage) stage=$2 ;;
        --stop-stage) stop_stage=$2 ;;
        *) sed -n '2,12p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
if [ $# -ne 4 ]; then
    sed -n '2,12p' "$0" >&2
    exit 2
fi
model=$1 data=$2 clean=$3 out=$4
local=$(dirname "$0")/local
speakers="--speakers 19 7859 1867 3242" # held out in training
vocoder=$out/vocoder.safetensors
mkdir -p "$out"

if [ "$stage" -le 1 ] && [ "$stop_stage" -ge 1 ] && [ ! -e "$vocoder" ]; then
    python "$local/train_vocoder.py" "$model" "$data" "$vocoder" $speakers
fi
if [ "$stage" -le 2 ] && [ "$stop_stage" -ge 2 ]; then
    python "$local/phone_scores.py" "$model" "$data" $speakers --confusion "$out/judge.png" | tee "$out/phones.md"
fi
if [ "$stage" -le 3 ] && [ "$stop_stage" -ge 3 ]; then
    python "$local/vowels.py" "$model" --labelled "$data" --chart "$out/vowels.png" | tee "$out/vowels.md"
fi
if [ "$stage" -le 4 ] && [ "$stop_stage" -ge 4 ]; then
    python "$local/words.py" "$model" "$data" $speakers --vocoder "$vocoder" | tee "$out/words.md"
fi
if [ "$stage" -le 5 ] && [ "$stop_stage" -ge 5 ]; then
    python "$local/inversion_scores.py" "$clean" --model "$model" --vocoder "$vocoder" | tee "$out/inversion.md"
fi
if [ "$stage" -le 6 ] && [ "$stop_stage" -ge 6 ]; then
    python "$local/gaps.py" "$model" "$clean" | tee "$out/gaps.md"
fi
