# Sourced by queue.sh and slurm.sh: hands `run.sh LOG COMMAND` over by the words of `submit`, waits for the end of the
# job, and passes on its exit code and, when it failed, what run.sh said.

options=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    options+=("$1")
    shift
done
if [ $# -lt 3 ]; then
    sed -n '2,7p' "$0" >&2
    exit 2
fi
log=$(realpath --canonicalize-missing "$2")
mkdir -p "$(dirname "$log")"
{
    echo '#!/bin/bash'
    printf '%q ' exec "$(realpath "$(dirname "$0")")/run.sh" "$log" "${@:3}"
} > "$log.sh"

"${submit[@]}" "$log.job" "${options[@]}" "$log.sh" > "$log.queue" && code=0 || code=$?
if [ $code -ne 0 ]; then
    cat "$log.queue" "$log.job" >&2 2> /dev/null || true
fi
exit $code
