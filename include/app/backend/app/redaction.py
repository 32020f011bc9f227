"""Keep secrets out of everything that leaves the process: log lines and error reports."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import SecretStr

MASK = "***"
_MIN_SECRET = 4  # shorter values would blacken ordinary words
_WORDS = r"password|passwd|pwd|secret|token|api[_-]?key|authorization|dsn|cookie"
_PATTERNS = (
    (re.compile(r"(?i)([a-z][a-z0-9+.-]*://)[^/\s@'\"]*@"), rf"\1{MASK}@"),
    (
        # Our own refusals read "APP_DATABASE_PASSWORD: the secret is missing", and must be readable.
        re.compile(
            r"(?i)(?<![\w-])(?!APP_[A-Z_]+: )"
            rf"(['\"]?[\w-]*(?:{_WORDS})['\"]?"
            r"\s*[=:]\s*)((?:bearer|basic)\s+)?(\"[^\"]*\"|'[^']*'|[^\s,;&}\])]+)"
        ),
        rf"\1{MASK}",
    ),
)
_SECRET_KEY = re.compile(_WORDS, re.IGNORECASE)


class Redactor:
    """Replaces known secret values, and what looks like one, by ***."""

    def __init__(self, secrets: Iterable[SecretStr | None] = ()) -> None:
        values = {secret.get_secret_value() for secret in secrets if secret is not None}
        # The longest first: a secret may contain another one.
        self._values = sorted((value for value in values if len(value) >= _MIN_SECRET), key=len, reverse=True)

    def text(self, value: str) -> str:
        """Return the text without secrets."""
        for secret in self._values:
            value = value.replace(secret, MASK)
        for pattern, replacement in _PATTERNS:
            value = pattern.sub(replacement, value)
        return value

    def tree(self, value: object) -> object:
        """Return a JSON-like value without secrets, in keys' values and in every string."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {
                key: MASK if isinstance(key, str) and _SECRET_KEY.search(key) and item is not None else self.tree(item)
                for key, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.tree(item) for item in value]
        return value
