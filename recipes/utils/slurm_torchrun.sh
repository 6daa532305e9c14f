#!/usr/bin/env bash
# torchrun on every node of a Slurm job; to be run inside of one, such as slurm.sh --nodes=4 --cpus-per-task=16 makes.
#
# Usage: utils/slurm_torchrun.sh [OPTION OF TORCHRUN ...] -m MODULE [ARGUMENT ...]
set -euo pipefail

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)  # reads all, where head would break the pipe
exec srun --ntasks-per-node=1 torchrun --nnodes "$SLURM_JOB_NUM_NODES" --rdzv-backend c10d \
    --rdzv-endpoint "$first:29400" --rdzv-id "$SLURM_JOB_ID" "$@"
