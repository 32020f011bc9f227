"""One refused setting, worded so that the reader can mend it, and never showing a secret."""

from __future__ import annotations

import re
from dataclasses import dataclass

HIDDEN = "(not shown)"
_MAX_SHOWN = 120
_USER_INFO = re.compile(r"//[^/]*@")


@dataclass(frozen=True)
class Finding:
    """What is wrong with one setting.

    :param place: variable, with its file when it came from one.
    :param found: value as it may be shown, or None when there is nothing to show.
    """

    place: str
    problem: str
    found: str | None
    expected: str
    mend: str

    def render(self) -> str:
        """Return the finding as lines for a person."""
        lines = [f"{self.place}: {self.problem}"]
        if self.found is not None:
            lines.append(f"  found     {self.found}")
        return "\n".join([*lines, f"  expected  {self.expected}", f"  do        {self.mend}"])


def shown_url(value: str) -> str:
    """Return a URL without its password and query, or a placeholder when it cannot be told apart safely."""
    bare = value.split("?", 1)[0].split("#", 1)[0]
    masked = _USER_INFO.sub("//***@", bare)
    # An @ that is left over, or a colon-separated user part without //, may be a password in a mistyped URL.
    if "@" in masked.replace("//***@", "") or ("://" not in masked and ":" in masked):
        return HIDDEN
    return shown(masked)


def shown(value: object) -> str:
    """Return a value of a setting that is no secret, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."
