#!/usr/bin/env bash
# Fashion-MNIST: a classifier that generates, by ST-JEM.
#
# Usage: recipes/fashion_mnist/run.sh [--data DIR] [--conf FILE] [--device DEVICE] [--workers N] [--each N]
#            [--dir DIR] [--stage N] [--stop-stage N]
#
#   --data      folder of the four IDX files, such as Debian's /usr/share/datasets/fashion-mnist; without, it is downloaded
#   --conf      configuration of the training (conf/fashion_mnist.yaml by default)
#   --device    auto, cpu, cuda or mps
#   --workers   processes that draw batches ahead; for a GPU
#   --each      images of a class to generate
#   --dir       gets data/ and exp/ (this folder by default)
#
# Stages: 0 download, 1 train, 2 generate, 3 scores. What is done is not done again; a training that was stopped
# goes on.
set -euo pipefail

data=
conf=
device=auto
workers=0
each=100
dir=.
stage=0
stop_stage=3
. "$(dirname "$0")/../utils/options.sh"

corpus=fashion_mnist
default=fashion_mnist
other=(--other digits)
. "$(dirname "$0")/../steps/images.sh"
