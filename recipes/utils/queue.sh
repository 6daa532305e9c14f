#!/usr/bin/env bash
# Run a command by the queue of a Grid Engine (SGE, UGE), and wait for its end.
#
# Usage: utils/queue.sh [OPTION ...] -- LOG COMMAND [ARGUMENT ...]
#
# Options are those of qsub, such as -l h_vmem=8G -pe smp 4. The log and its end on failure are those of run.sh; the
# job itself is LOG.sh. The folder of the log must be seen by all machines.
set -euo pipefail

submit=(qsub -sync y -cwd -V -S /bin/bash -j y -o)
. "$(dirname "$0")/submit.sh"
