"""No secret enters the ledger: what looks like one is refused before anything is written.

The guard looks at names of keys and at values. It errs towards refusing: a refused event is noticed and mended,
a password in an append-only table is there for good. What must be recorded whatever it says (the text of an
error in the moment of an abort) goes through :func:`masked` first.
"""

from __future__ import annotations

import itertools
import re
from typing import Final, overload

from slipway.errors import RefusedError

MASK: Final = "***"
SECRET_WORDS: Final = frozenset({
    "authorization", "cookie", "credential", "credentials", "dsn", "passphrase", "passwd", "password", "passwords",
    "pgpassword", "pwd", "secret", "secrets", "token", "tokens", "apikey", "webhook",
})  # fmt: skip
SECRET_PAIRS: Final = frozenset({("api", "key"), ("access", "key"), ("private", "key"), ("signing", "key")})
# "secret_name: hive-platform-secrets" says where a secret lives and not what it is.
HARMLESS_ENDS: Final = frozenset({
    "absent", "checked", "count", "exists", "found", "kind", "missing", "name", "names", "present", "ref", "refs",
})  # fmt: skip
SECRET_VALUES: Final = re.compile(
    r"""
      (?P<url> [a-z][a-z0-9+.-]*:// [^\s/@:]* : [^\s/@]+ @ )            # an address with user and password
    | (?P<sentry> https?:// [0-9a-f]{32} @ )                            # a Sentry DSN
    | (?P<pair> \b (?:pg)? (?:password|passwd|pwd|secret|(?:access_?)?token|api_?key|sign) \s* = \s* [^\s&;,]+ )
    | (?P<bearer> \b (?:bearer|basic) \s+ [a-z0-9+/_.=~-]{12,} )
    | (?P<pem> -----BEGIN\ [A-Z ]*PRIVATE\ KEY----- )
    | (?P<slack> hooks\.slack\.com/services/\S+ | \b xox[abprs]-[\w-]{8,} )
    | (?P<github> \b (?:gh[oprsu]_|github_pat_) \w{20,} )
    | (?P<aws> \b AKIA[0-9A-Z]{16} \b )
    | (?P<jwt> \b eyJ[\w-]{8,} \. [\w-]{8,} \. [\w-]* )
    """,
    re.VERBOSE | re.IGNORECASE,
)
WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
SHOWABLE: Final = re.compile(r"[A-Za-z][\w.-]{0,63}")


def refuse_secrets(value: object, where: str = "payload") -> None:
    """Refuse a value that holds a secret, however deep.

    :param where: the place, for the error; the error never holds what was found there.
    :raises RefusedError: a key is named like a secret and has a value, or a text reads like one.
    """
    found = _place_of_secret(value, where)
    if found is not None:
        place, reason = found
        raise RefusedError(
            f"{place} {reason}; nothing was written.",
            mend="record a reference (the name of the Kubernetes Secret or connection) instead of the value.",
        )


@overload
def masked(value: str) -> str: ...
@overload
def masked(value: object) -> object: ...
def masked(value: object) -> object:
    """Return the value with everything that :func:`refuse_secrets` would refuse replaced by three stars."""
    if isinstance(value, str):
        return SECRET_VALUES.sub(MASK, value)
    if isinstance(value, dict):
        return {
            SECRET_VALUES.sub(MASK, str(key)): MASK if _names_secret(str(key)) and _says(item) else masked(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [masked(item) for item in value]
    return value


def _place_of_secret(value: object, where: str) -> tuple[str, str] | None:
    if isinstance(value, str):
        match = SECRET_VALUES.search(value)
        return (where, f"holds what reads like a secret ({match.lastgroup})") if match else None
    if isinstance(value, dict):
        for key, item in value.items():
            text = str(key)
            if SECRET_VALUES.search(text):
                return where, "has a key that reads like a secret"
            place = f"{where}.{text if SHOWABLE.fullmatch(text) else '(a key)'}"
            if _names_secret(text) and _says(item):
                return place, "is named like a secret"
            if found := _place_of_secret(item, place):
                return found
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            if found := _place_of_secret(item, f"{where}[{index}]"):
                return found
    return None


def _says(item: object) -> bool:
    """Tell a value from "there is none" and from yes and no, which give nothing away."""
    return item is not None and not isinstance(item, bool) and item not in ("", MASK)


def _names_secret(key: str) -> bool:
    words = [word.lower() for word in WORDS.findall(key)]
    if not words or words[-1] in HARMLESS_ENDS:
        return False
    return not SECRET_WORDS.isdisjoint(words) or any(pair in SECRET_PAIRS for pair in itertools.pairwise(words))
