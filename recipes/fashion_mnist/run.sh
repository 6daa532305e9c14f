#!/usr/bin/env bash
# Fashion-MNIST: a classifier that generates, by ST-JEM.
#
# Usage: recipes/fashion_mnist/run.sh [--data DIR] [--conf FILE] [--device DEVICE] [--each N]
#            [--dir DIR] [--stage N] [--stop-stage N]
#
#   --data      folder of the four IDX files, such as Debian's /usr/share/datasets/fashion-mnist; without, it is downloaded
#   --conf      configuration of the training (conf/fashion_mnist.yaml by default)
#   --device    auto, cpu, cuda or mps
#   --each      images of a class to generate
#   --dir       gets data/ and exp/ (this folder by default)
#
# Stages: 0 download, 1 train, 2 generate, 3 scores. What is done is not done again; a training that was stopped
# goes on.
set -euo pipefail

data=
conf=
device=auto
each=100
dir=.
stage=0
stop_stage=3
. "$(dirname "$0")/../utils/options.sh"
for path in data conf; do
    [ -z "${!path}" ] || printf -v $path %s "$(realpath "${!path}")"
done
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
cd "$(dirname "$0")"
. ./path.sh
. ./cmd.sh

conf=${conf:-$PWD/conf/fashion_mnist.yaml}
exp=$dir/exp/$(basename "$conf" .yaml)

if [ -z "$data" ]; then
    data=$dir/data
    if runs 0; then
        echo "Stage 0: downloading Fashion-MNIST"
        $train_cmd "$exp/log/download.log" python "$steps/fetch_images.py" fashion_mnist "$data"
    fi
fi
if runs 1; then
    echo "Stage 1: training"
    $train_cmd "$exp/log/train.log" speechjem train-images "$conf" --data "$data" -o "$exp" --device "$device"
fi
if runs 2; then
    echo "Stage 2: generating"
    $train_cmd "$exp/log/samples.log" python "$steps/image_samples.py" "$exp/model" "$exp/samples.npz" \
        --each "$each" --grid "$exp/grid.png" --device "$device"
fi
if runs 3; then
    echo "Stage 3: scores"
    $train_cmd "$exp/scores.json" python "$steps/image_scores.py" "$exp/model" fashion_mnist "$data" \
        --samples "$exp/samples.npz" --device "$device" --other digits
    tail -n +2 "$exp/scores.json"
fi
