#!/bin/sh
# Runs the scripts that an image or a pod puts beside, then the command; as the public image does.
set -e
for script in /docker-entrypoint.d/*.sh; do
    if [ -x "$script" ]; then "$script"; fi
done
exec "$@"
