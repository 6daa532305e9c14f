#!/usr/bin/env bash
# CIFAR-100: a classifier that generates, by ST-JEM.
#
# Usage: recipes/cifar100/run.sh [--data DIR] [--svhn DIR] [--conf FILE] [--device DEVICE] [--workers N] [--each N]
#            [--fid true] [--dir DIR] [--stage N] [--stop-stage N]
#
#   --data      folder of the binary version (cifar-100-binary, or the one that has it); without, it is downloaded
#   --svhn      folder of test_32x32.mat (SVHN), which the energy shall tell from the test images
#   --conf      configuration of the training (conf/paper.yaml by default)
#   --device    auto, cpu, cuda or mps
#   --workers   processes that draw batches ahead; for a GPU
#   --each      images of a class to generate
#   --fid       also FID and the Inception score, by torch-fidelity and weights from the internet
#   --dir       gets data/ and exp/ (this folder by default)
#
# Stages: 0 download, 1 train, 2 generate, 3 scores, 4 FID. What is done is not done again; a training that was stopped
# goes on.
set -euo pipefail

data=
svhn=
conf=
device=auto
workers=0
each=100
fid=false
dir=.
stage=0
stop_stage=4
. "$(dirname "$0")/../utils/options.sh"

corpus=cifar100
default=paper
other=()
[ -z "$svhn" ] || other=(--other svhn "$(realpath "$svhn")")
. "$(dirname "$0")/../steps/images.sh"
