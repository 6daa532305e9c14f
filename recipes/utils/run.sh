#!/usr/bin/env bash
# Run a command with its output in a log, on this machine.
#
# Usage: utils/run.sh LOG COMMAND [ARGUMENT ...]
#
# The log starts with the command line. When the command fails, the end of the log is shown.
set -uo pipefail

if [ $# -lt 2 ]; then
    sed -n '2,7p' "$0" >&2
    exit 2
fi
log=$1
shift
mkdir -p "$(dirname "$log")"
printf '# %s\n' "$*" > "$log"
"$@" >> "$log" 2>&1
code=$?
if [ $code -ne 0 ]; then
    echo "$1 ended with exit code $code; the end of $log:" >&2
    tail -n 15 "$log" >&2
fi
exit $code
