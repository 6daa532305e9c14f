#!/usr/bin/env bash
# Download a file that is not there yet; what was interrupted goes on.
#
# Usage: utils/download.sh URL FILE
set -euo pipefail

if [ ! -e "$2" ]; then
    mkdir -p "$(dirname "$2")"
    curl --fail --location --continue-at - --output "$2.part" "$1"
    mv "$2.part" "$2"
fi
