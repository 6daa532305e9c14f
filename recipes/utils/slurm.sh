#!/usr/bin/env bash
# Run a command by Slurm, and wait for its end.
#
# Usage: utils/slurm.sh [OPTION ...] -- LOG COMMAND [ARGUMENT ...]
#
# Options are those of sbatch, such as --cpus-per-task=4 --mem=8G. The log and its end on failure are those of run.sh;
# the job itself is LOG.sh. The folder of the log must be seen by all machines.
set -euo pipefail

name=speechjem-$$
submit=(sbatch --wait --export=ALL --job-name "$name" --output)
trap 'scancel --name "$name"' INT TERM # which qsub does by itself
. "$(dirname "$0")/submit.sh"
