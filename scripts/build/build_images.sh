#!/usr/bin/env bash
# Builds, examines and pushes the images of a release, and prints what they are. The release's DAG runs the same code.
#
#   scripts/build/build_images.sh VERSION [--registry HOST[:PORT]/PREFIX] [--env ENVIRONMENT] [--only NAME]
#                                 [--no-push] [--builder buildah|docker] [--output FOLDER]
#
# The folder (dist/images) then holds images.json and images.env with the digests, and a list of contents per image.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
python="$root/.venv/bin/python"
if [[ ! -x $python ]]; then
  if ! python=$(command -v python3); then
    echo "build_images.sh: no Python; run 'make up' once, or install Python 3.11" >&2
    exit 1
  fi
fi
if [[ $# -eq 0 ]]; then
  set -- --help
fi
cd -- "$root"
PYTHONPATH="$root/plugins${PYTHONPATH:+:$PYTHONPATH}" exec "$python" -m slipway images build "$@"
