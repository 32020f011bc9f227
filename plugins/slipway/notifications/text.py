"""Words and numbers for people: cleaned of control characters and credentials, cut to a length, with units. Pure."""

from __future__ import annotations

import math
import re
from enum import StrEnum
from urllib.parse import urlsplit, urlunsplit

MASK = "***"
ELLIPSIS = "…"
BEFORE_THE_CUT = 2_000
"""Characters beyond the limit in which credentials are looked for: enough that none is cut in half, and the foreign
text of a megabyte is not searched."""
LARGEST = 1e12

# Each pattern keeps its first group. They are a net under code that should never put a credential into a message:
# the text of a foreign exception (a DSN, a URL with a token) ends up in an alert sooner or later.
_CREDENTIALS = (
    # scheme://user:password@host; a password may hold a slash or an @ that nobody encoded
    re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}://)(?:[^\s:/@]*:\S*|[^\s/]+)(?=@)", re.IGNORECASE),
    re.compile(
        r"(\b[\w-]{0,40}(?:token|secret|passw(?:or)?d|pwd|api_?key)[\"']?\s*[=:]\s*[\"']?)[^\s&\"',;]+", re.IGNORECASE
    ),
    re.compile(r"([?&]sign(?:ature)?=)[^\s&]+", re.IGNORECASE),
    re.compile(r"(\b(?:bearer|basic)\s+)[a-z0-9+/=._~-]{8,}", re.IGNORECASE),
    re.compile(r"(/services/[^\s/]+/[^\s/]+/)[^\s/?\"']+"),  # a Slack webhook
    re.compile(r"(\bSEC)[0-9a-f]{32,}"),  # the secret of a DingTalk robot
)


class Unit(StrEnum):
    """What a number counts; :func:`number` writes it."""

    RATIO = "ratio"
    SECONDS = "seconds"
    REQUESTS = "requests"
    PER_SECOND = "per-second"
    COUNT = "count"


def scrub(text: str) -> str:
    """Mask what looks like a credential."""
    for pattern in _CREDENTIALS:
        text = pattern.sub(rf"\g<1>{MASK}", text)
    return text


def line(text: object, limit: int) -> str:
    """Return the text as one line of at most ``limit`` characters, without control characters and credentials.

    A line that holds no line break can be a mail header: this is where header injection ends.
    """
    return cut(scrub(" ".join(_printable(str(text)).split())[: limit + BEFORE_THE_CUT]), limit)


def paragraph(text: object, limit: int) -> str:
    """Return the text with its line breaks, at most ``limit`` characters, without control characters and credentials.

    Blank lines go: a foreign text must not look like a new part of the message.
    """
    lines = (" ".join(_printable(row).split()) for row in str(text).splitlines())
    return cut(scrub("\n".join(row for row in lines if row)[: limit + BEFORE_THE_CUT]), limit)


def cut(text: str, limit: int) -> str:
    """Cut to ``limit`` characters and show that something is missing."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + ELLIPSIS


def web_address(url: str) -> str | None:
    """Return an http(s) address without user and password, or None for anything else.

    Characters that end a link in one of the channels are percent-encoded.
    """
    try:
        parts = urlsplit(url.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return None
        host = parts.netloc.rpartition("@")[2]
        clean = urlunsplit((parts.scheme, host, parts.path, parts.query, parts.fragment))
    except ValueError:
        return None
    return scrub(re.sub(r"[^!#-&*-;=?A-Z\[\]_a-z~]", _percent, clean))


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found.group().encode("utf-8", "replace"))


def _printable(text: str) -> str:
    # Halves of characters (surrogates) are no text either: no encoding can write them.
    return "".join(letter if letter.isprintable() else " " for letter in text)


def number(value: float | None, unit: Unit) -> str:
    """Write a number with its unit; None and NaN are "no data".

    :param value: a share between 0 and 1 for RATIO, seconds for SECONDS.
    """
    if value is None or not math.isfinite(value):
        return "no data"
    if abs(value) >= LARGEST:
        return f"{value:.2e}"  # a broken measurement must not fill the message with digits
    match unit:
        case Unit.RATIO:
            return _percentage(value)
        case Unit.SECONDS:
            return duration(value)
        case Unit.REQUESTS:
            return f"{value:,.0f} request" if round(value) == 1 else f"{value:,.0f} requests"
        case Unit.PER_SECOND:
            return f"{value:,.1f}/s"
        case Unit.COUNT:
            return f"{value:,.0f}" if value == round(value) else f"{value:,.2f}"


def _percentage(share: float) -> str:
    percent = share * 100
    # Two digits for small shares: 0.04 % and 0.4 % are different nights.
    return f"{percent:.2f} %" if 0 < abs(percent) < 1 else f"{percent:.1f} %"


def duration(seconds: float) -> str:
    """Write a time span the way a person says it: ``840 ms``, ``7.4 s``, ``2 min 5 s``, ``1 h 3 min``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
