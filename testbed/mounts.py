"""What the testbed sees of the machine's file system: everything to read, and nothing to leave a trace in.

kubelet, containerd and CNI plugins write below /var/lib, /var/log, /etc/cni and /opt whatever they are told. So in the
testbed's mount namespace these folders are overlays whose changes lie in memory and end with it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.home import Home

OVERLAID = (Path("/etc"), Path("/opt"), Path("/var"))
SHADOW = Path("/run/machine")
COMMAND_TIMEOUT_S = 10


def make_private(home: Home) -> None:
    """Mount an empty /run, and overlays over the folders that others write in. Run once, in a mount namespace.

    :param home: its folders stay what they are: real, on the disk, and the same inside and outside.
    :raises subprocess.CalledProcessError: the kernel refuses a mount.
    """
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    kept = {folder: SHADOW / "kept" / str(index) for index, folder in enumerate((home.state, home.cache))}
    for folder, aside in kept.items():
        _bind(folder, aside)
    for folder in filter(Path.is_dir, OVERLAID):
        upper, work = SHADOW / f"upper{folder}", SHADOW / f"work{folder}"
        upper.mkdir(parents=True)
        work.mkdir(parents=True)
        upper.chmod(folder.stat().st_mode & 0o7777)
        _mount("-t", "overlay", "-o", f"lowerdir={folder},upperdir={upper},workdir={work}", "overlay", str(folder))
    for folder, aside in kept.items():
        if any(folder.is_relative_to(overlaid) for overlaid in OVERLAID):
            _bind(aside, folder)


def _bind(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    _mount("--bind", str(source), str(target))


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, timeout=COMMAND_TIMEOUT_S)
