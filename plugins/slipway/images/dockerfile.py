"""The little that must be known of a Dockerfile: which image its last stage stands on."""

from __future__ import annotations

import re

from slipway.errors import SpecError

_FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?\s*$", re.IGNORECASE | re.MULTILINE)


def final_base(content: str, where: str) -> str:
    """Return the image that the last stage stands on, through the stages in between.

    :param content: of the Dockerfile.
    :param where: its path, for the error.
    :raises SpecError: there is no stage at all.
    """
    stages = _FROM.findall(content)
    if not stages:
        raise SpecError(f"{where} has no FROM", mend="begin the Dockerfile with FROM and a named base image")
    named = {name.lower(): base for base, name in stages[:-1] if name}
    base = stages[-1][0]
    while base.lower() in named:
        base = named.pop(base.lower())
    return str(base)


def stages(content: str) -> int:
    """Return how many stages a Dockerfile has."""
    return len(_FROM.findall(content))
