#!/usr/bin/env bash
# Makes the virtual environment VENV with exactly what requirements.txt pins. `make` calls it when the pins changed.
#   scripts/bootstrap.sh VENV UV_VERSION
set -euo pipefail
venv=$1 uv_version=$2
cd "$(dirname "$0")/.."

oldest="3, 11"
python=""
for candidate in python3.13 python3.12 python3.11 python3; do
  if "$candidate" -c "import sys; sys.exit(sys.version_info < ($oldest))" 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  echo "error: Python 3.11 or newer is needed, and none is on PATH" >&2
  echo "  do     apt-get install python3 python3-venv   (Debian 12 and newer)" >&2
  exit 3
fi

if [ ! -x "$venv/bin/python" ]; then
  echo "making the virtual environment $venv with $("$python" --version)"
  if ! "$python" -c 'import ensurepip' 2>/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing python3-venv with apt-get"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3-venv >/dev/null
  fi
  "$python" -m venv "$venv"
fi
if [ "$("$venv/bin/uv" --version 2>/dev/null | cut -d' ' -f2)" != "$uv_version" ]; then
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
fi
echo "installing what requirements.txt pins"
"$venv/bin/uv" pip sync --quiet --require-hashes --python "$venv/bin/python" requirements.txt
"$venv/bin/uv" pip install --quiet --no-deps --no-build-isolation --python "$venv/bin/python" --editable .
