"""A trial of what the testbed does first: namespaces of its own, and links, settings and mounts inside them.

One short process in namespaces of its own tries every step and dies; the kernel takes down what it made. Only
asking the kernel tells the truth: containers, seccomp filters and file systems refuse for reasons that no
list of facts names.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

TIMEOUT_S = 10
FOLDER = "folder"
UNSHARE = "unshare"
STEPS = """
try() { step=$1; shift; message=$("$@" 2>&1) || echo "$step" $message; }
try tmpfs mount -t tmpfs tmpfs /run
try forward sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
if command -v ip >/dev/null; then
  try bridge ip link add probe-bridge type bridge
  try veth ip link add probe-a type veth peer name probe-b
fi
if command -v nft >/dev/null; then try nftables nft add table ip probe; fi
cd "$1"
try overlay mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged
if [ -e merged/file ]; then
  # A file removed in an image's upper layer is a device node there, which some file systems refuse.
  try whiteout rm merged/file
fi
"""


def run(folder: Path) -> dict[str, str]:
    """Try every step.

    :param folder: an existing folder on the file system that the state folder will be on.
    :return: what failed, with the error. After ``folder`` or ``unshare`` nothing else was tried.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".slipway-probe-", dir=folder) as place:
            return _run(Path(place))
    except OSError as error:
        return {FOLDER: str(error)}


def _run(place: Path) -> dict[str, str]:
    for name in ("lower", "upper", "work", "merged"):
        (place / name).mkdir()
    (place / "lower" / "file").touch()
    command = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"]
    command += ["--propagation", "private", "--", "sh", "-c", STEPS, "sh", str(place)]
    environment = {**os.environ, "LC_ALL": "C", "PATH": f"/usr/sbin:/sbin:{os.environ.get('PATH', '')}"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=environment)
    except FileNotFoundError:
        return {UNSHARE: "the program unshare is not installed"}
    except subprocess.TimeoutExpired:
        return {UNSHARE: f"no answer within {TIMEOUT_S} s"}
    return read(done.stdout, done.stderr)


def read(out: str, err: str) -> dict[str, str]:
    """Sort what the trial said.

    :param out: a line for each step that failed.
    :param err: what ``unshare`` itself said.
    """
    if err.startswith("unshare:"):
        return {UNSHARE: err.strip()}
    steps = (line.partition(" ") for line in out.splitlines())
    return {step: message for step, _, message in steps}
