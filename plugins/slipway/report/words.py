"""Numbers, times and foreign texts as a person reads them. Pure."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from datetime import datetime

UNKNOWN: Final = "unknown"
LONGEST: Final = 2_000
HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co"})
"""Categories of characters that change what is seen and are not seen themselves."""


def moment(at: datetime | None) -> str:
    """Return a time in UTC to the second."""
    return UNKNOWN if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(at: datetime) -> str:
    """Return the time of day in UTC to the second."""
    return at.astimezone(UTC).strftime("%H:%M:%S")


def duration(seconds: float | None) -> str:
    """Return a duration with the two units that matter: 7.5 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return UNKNOWN
    if round(seconds, 1) < 60:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s".replace(".0 ", " ")
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def count(value: float | None) -> str:
    """Return a count with thousands apart."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """Return a share of 0 to 1 in percent."""
    return UNKNOWN if value is None else f"{value * 100:.3g} %"


def of(errors: float | None, requests: float | None) -> str:
    """Return errors of requests with their share."""
    if errors is None or requests is None:
        return UNKNOWN
    return f"{count(errors)} of {count(requests)}" + (f" ({rate(errors / requests)})" if requests else "")


def seconds(value: float | None) -> str:
    """Return a latency in the unit that fits."""
    if value is None:
        return UNKNOWN
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def visible(text: str) -> str:
    """Return a text without characters that are not seen: controls, direction marks, zero widths."""
    return "".join(
        character if character == "\n" or unicodedata.category(character) not in HIDDEN else " " for character in text
    )


def clean(text: object) -> str:
    """Return a foreign text of a bounded length, with nothing in it that is not seen."""
    kept = visible(str(text))
    return kept if len(kept) <= LONGEST else f"{kept[:LONGEST]} ... ({len(kept) - LONGEST:,} characters more)"


def told(value: Any) -> str:
    """Return any value of a payload as text for a cell."""
    if isinstance(value, str):
        return clean(value)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return clean(", ".join(value)) or "none"
    return clean(json.dumps(value, ensure_ascii=False))


def label(key: str) -> str:
    """Return the key of a payload as a label: `duration_s` is "duration (s)"."""
    text = clean(key)
    if text.endswith("_s"):
        text = f"{text[:-2]} (s)"
    return text.replace("_", " ").replace("-", " ")
