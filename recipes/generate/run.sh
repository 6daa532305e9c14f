#!/usr/bin/env bash
# Measures generated speech, and prints the tables of RESULTS.md.
#
# Usage: recipes/generate/run.sh [--stage N] [--stop-stage N] MODEL DATA CLEAN OUT
#
#   MODEL  model folder, such as models/base
#   DATA   data directory of mini_librispeech, with text and ali.ctm
#   CLEAN  folder of clean speech, for copy-synthesis
#   OUT    folder for the tables, the pictures and the vocoder
#
# Stages: 1 train the vocoder (40 minutes on one core; its file is used if it is there), 2 phones, 3 vowels,
# 4 words, 5 inversion, 6 gaps. Needs: pip install '.[text]' jiwer praat-parselmouth pyworld-prebuilt speechmos auraloss
set -euo pipefail

stage=1
stop_stage=6
. "$(dirname "$0")/../utils/options.sh"
if [ $# -ne 4 ]; then
    _usage >&2
    exit 2
fi
model=$1 data=$2 clean=$3 out=$4
local=$(dirname "$0")/local
vocoder=$out/vocoder.safetensors
mkdir -p "$out"

if runs 1 && [ ! -e "$vocoder" ]; then
    python "$local/train_vocoder.py" "$model" "$data" "$vocoder"
fi
if runs 2; then
    python "$local/phone_scores.py" "$model" "$data" --confusion "$out/judge.png" | tee "$out/phones.md"
fi
if runs 3; then
    python "$local/vowels.py" "$model" --labelled "$data" --chart "$out/vowels.png" | tee "$out/vowels.md"
fi
if runs 4; then
    python "$local/words.py" "$model" "$data" --vocoder "$vocoder" | tee "$out/words.md"
fi
if runs 5; then
    python "$local/inversion_scores.py" "$clean" --model "$model" --vocoder "$vocoder" | tee "$out/inversion.md"
fi
if runs 6; then
    python "$local/gaps.py" "$model" "$clean" | tee "$out/gaps.md"
fi
