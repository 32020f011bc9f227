"""The dossier as Markdown, for a file beside the release notes or a terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from slipway.report import charts, sections
from slipway.report.words import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slipway.report.dossier import Dossier

SPECIAL: Final = re.compile(r"([\\`*{}\[\]#|~>$]|(?<![^\W_])_|_(?![^\W_]))")
"""What is markup within a line; an underscore inside of a word is none."""


def render(dossier: Dossier, chart: str | None = None) -> str:
    """Return the dossier as Markdown.

    :param chart: path of the charts relative to the document, or None without.
    """
    holds, proof = dossier.proof
    lines = [
        f"# {escape(dossier.release.title)}: {escape(sections.headline(dossier))}",
        "",
        escape(dossier.meaning),
        "",
    ]
    if not holds:
        lines += [f"> **{escape(proof)}**", ""]
    for waiver in sections.waivers(dossier):
        lines += [f"> **WAIVED** {escape(waiver)}", ""]
    lines += _table(("", ""), [(f"**{escape(name)}**", escape(value)) for name, value in sections.facts(dossier)])
    if chart is not None:
        lines += [f"![{escape(charts.alternative(dossier))}](<{chart}>)", ""]
    for table in sections.tables(dossier):
        lines += [f"## {escape(table.title)}", ""]
        if table.note:
            lines += [escape(table.note), ""]
        if table.rows:
            head = [escape(cell) for cell in table.head]
            lines += _table(head, [[escape(cell) for cell in row] for row in table.rows])
    if holds:
        lines += ["## Proof", "", escape(proof), ""]
    return "\n".join(lines).rstrip() + "\n"


def escape(text: str) -> str:
    """Return a foreign text that Markdown shows as it is: no markup, no HTML, no link, no mention, one line."""
    text = " ".join(visible(text).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    text = SPECIAL.sub(r"\\\1", text)
    # Bare addresses become links and @names call people, where Markdown is shown by a forge.
    return text.replace("://", "&#58;//").replace("@", "&#64;").replace("www.", "www&#46;")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]
