"""What is kept of a message, whichever way it came."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

SHOWN_OF_A_SECRET = 4
"""A quarter of a token at most, and never more than so many characters: enough to tell two robots apart."""


class Channel(StrEnum):
    """The ways in."""

    DINGTALK = "dingtalk"
    SLACK = "slack"
    MAIL = "mail"


class Draft(BaseModel):
    """A message as a channel hands it over.

    :param to: the robot, the Slack channel or the addresses; tokens are masked.
    :param title: the first thing that a person reads.
    :param text: all that a person can read, as plain text.
    :param raw: what was sent, without the credentials of the request.
    :param reason: why it was refused; None when it was accepted.
    :param size: bytes that came over the wire.
    """

    model_config = ConfigDict(frozen=True)

    channel: Channel
    to: str
    title: str
    text: str
    raw: Any
    size: int
    reason: str | None = None


class Message(Draft):
    """A message as it is kept and answered.

    :param id: grows by one a message and never starts again, so ``after`` means the same for ever.
    :param at: seconds since the epoch when it arrived.
    :param accepted: whether the sender was told that it went through.
    """

    id: int
    at: float
    accepted: bool


def mask(secret: str) -> str:
    """Make a token safe to log and to answer: its beginning and an ellipsis."""
    return f"{secret[: min(SHOWN_OF_A_SECRET, len(secret) // 4)]}…"


def first_line(text: str, limit: int = 120) -> str:
    """Return the first line that is not empty, without markdown's ``#``, cut to ``limit`` characters."""
    line = next((line for line in map(str.strip, text.splitlines()) if line), "").lstrip("# ")
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
