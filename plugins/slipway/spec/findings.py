"""One thing that is wrong in a file, worded so that its reader can mend it, and never showing a secret."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HIDDEN = "(not shown: it may be a secret)"
MAX_SHOWN = 80
MAX_FINDINGS = 50
"""More than this nobody reads; the rest is counted."""

Step = str | int
"""One step of a path: a key, or the index of a list."""

_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?$|passw|pwd$|secret|token|credential|private_?key|api_?key|access_?key|(^|_)dsn$|"
    r"(^|_)auth(entication|orization)?$|bearer|webhook|signing",
    re.IGNORECASE,
)
_SECRET_VALUES = (
    re.compile(r"//[^/\s@]*:[^/\s]*@"),  # an address with a password; an @ in the password changes nothing
    re.compile(r"[?&;](access_token|token|password|passwd|secret|key|sign|sig)=", re.IGNORECASE),
    re.compile(r"\b(password|passwd|pwd|secret|token)\s*=\s*\S", re.IGNORECASE),  # a DSN of words
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}"),
    re.compile(r"\bxox[abposr]-[A-Za-z0-9-]{8,}"),
    re.compile(r"\bSEC[0-9a-f]{32,}\b"),  # DingTalk signs with these
    re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\."),  # a JSON Web Token
    re.compile(r"//hooks\.[^\s/]+/services/\w"),
    re.compile(r"//[0-9a-f]{16,}@", re.IGNORECASE),  # the key in the address of a Sentry project
    re.compile(r"\b(Bearer|Basic) [A-Za-z0-9+/=._-]{8,}"),
)
_MIN_RANDOM = 20
_MIN_KINDS = 3
_RANDOM = re.compile(r"[A-Za-z0-9+/_=-]{20,}")


def names_secret(name: object) -> bool:
    """Say whether a key's name promises a secret. Names are read in snake_case; camelCase is taken apart."""
    if not isinstance(name, str):
        return False
    return bool(_SECRET_NAME.search(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_")))


def is_secret(value: object) -> bool:
    """Say whether a value is unmistakably a secret: an address with a password, a token, a private key."""
    return isinstance(value, str) and any(pattern.search(value) for pattern in _SECRET_VALUES)


def may_be_secret(value: object) -> bool:
    """Say whether a value had better not be shown. Wider than is_secret: anything that looks drawn at random."""
    if not isinstance(value, str):
        return False
    return is_secret(value) or "@" in value or any(_looks_random(word) for word in _RANDOM.findall(value))


def _looks_random(word: str) -> bool:
    kinds = sum(bool(re.search(kind, word)) for kind in ("[a-z]", "[A-Z]", "[0-9]", "[+/=_-]"))
    return len(word) >= _MIN_RANDOM and (kinds >= _MIN_KINDS or re.fullmatch(r"[0-9a-fA-F]{24,}", word) is not None)


def shown(path: Sequence[Step], value: object) -> str:
    """Return a value as it may be shown: short, and hidden where it, or any key above it, speaks of a secret.

    :param path: keys and indices that lead to it.
    """
    if isinstance(value, dict):
        return f"a mapping of {len(value)} key(s)"
    if isinstance(value, list):
        return f"a list of {len(value)} item(s)"
    if any(names_secret(step) for step in path) or may_be_secret(value):
        return HIDDEN
    text = "nothing" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "..."


def dotted(path: Sequence[Step]) -> str:
    """Return a path as people write it: `canary.steps[1].hold_s`; a key that may be a secret is not shown."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
            continue
        plain = re.fullmatch(r"[\w./-]{1,60}", step) and not may_be_secret(step)
        text += f"{'.' if text else ''}{step if plain else '(a key that is not shown)'}"
    return text


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known key that was probably meant, or None."""
    # Upper case and hyphens are how people get our keys wrong most often, so they count as nothing.
    by_plain = {plain(key): key for key in known}
    close = difflib.get_close_matches(plain(name), by_plain, n=1, cutoff=0.6)
    return by_plain[close[0]] if close else None


def plain(name: str) -> str:
    """Return a key as our files would write it: maxSurge and max-surge are max_surge."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name[:200]).replace("-", "_").lower()


@dataclass(frozen=True)
class Finding:
    """What is wrong at one place.

    :param file: as it was named, or a word like "parameters".
    :param path: for example `canary.steps[1].hold_s`; empty for the file as a whole.
    :param line: counted from 1, or None where there are no lines.
    :param what: one sentence without the place.
    :param found: what stands there, fit to be shown, or None.
    :param allowed: what may stand there, or None.
    :param nearest: the known key that was probably meant, or None.
    """

    file: str
    path: str
    line: int | None
    what: str
    found: str | None = None
    allowed: str | None = None
    nearest: str | None = None

    def render(self) -> str:
        """Return the finding as lines for a person."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        lines = [f"{place}: {self.path}: {self.what}" if self.path else f"{place}: {self.what}"]
        if self.found is not None:
            lines.append(f"  found    {self.found}")
        if self.allowed is not None:
            lines.append(f"  allowed  {self.allowed}")
        if self.nearest is not None:
            lines.append(f"  meant    {self.nearest}?")
        return "\n".join(lines)


def refusal(subject: str, findings: Sequence[Finding]) -> SpecError:
    """Return the error that lists every finding.

    :param subject: what is refused: "the release spec", "the environment".
    """
    listed = [finding.render() for finding in findings[:MAX_FINDINGS]]
    if len(findings) > MAX_FINDINGS:
        listed.append(f"and {len(findings) - MAX_FINDINGS} more")
    head = f"{subject}: refused, {len(findings)} finding(s); nothing was touched"
    return SpecError("\n".join([head, *listed]))
