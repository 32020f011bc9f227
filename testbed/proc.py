"""What the kernel says about a process: proc(5), /proc/PID/stat."""

from __future__ import annotations

from pathlib import Path

STATE, START_TICKS = 0, 19
"""Positions after the command's name, which ends with the last parenthesis: fields 3 and 22 of the manual."""


def is_dead(pid: int) -> bool:
    """Say whether a process is gone, or only waits to be buried."""
    try:
        return _fields(pid)[STATE] == "Z"
    except OSError:
        return True


def start_of(pid: int) -> str:
    """Return which boot and which clock tick since then a process started in: setting the clock changes neither.

    :raises OSError: there is no such process.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}/{_fields(pid)[START_TICKS]}"


def children_of(pid: int) -> list[int]:
    """Return the children of a process, the dead ones among them.

    :raises OSError: there is no such process.
    """
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def _fields(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
