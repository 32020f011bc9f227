"""Reading the JSON that strangers send."""

from __future__ import annotations

import json
from typing import Any, NoReturn

DEEPEST = 64
"""No chat message nests so deep; what does would end in a recursion error somewhere."""


def json_object(text: str | bytes) -> dict[str, Any] | None:
    """Return the JSON object that a body holds, or None when it is none that can be stored and sent on.

    Python reads more than JSON: NaN, and halves of characters that no encoding can write. Here both are none.
    """
    try:
        payload = json.loads(text, parse_constant=_refuse)
        json.dumps(payload, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) and _is_shallow(payload, DEEPEST) else None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _is_shallow(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(one, levels - 1) for one in inner)
