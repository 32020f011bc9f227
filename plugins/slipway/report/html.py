"""The dossier as one HTML file: nothing is loaded from anywhere, and no script runs in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from slipway.report import charts, sections
from slipway.report.words import visible

if TYPE_CHECKING:
    from slipway.report.dossier import Dossier

TEMPLATE: Final = Path(__file__).with_name("dossier.html.j2")


def render(dossier: Dossier, chart: bytes | None = None) -> str:
    """Return the dossier as HTML.

    :param chart: the charts as SVG, or None without; they are our own drawing, everything else is escaped.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    holds, proof = dossier.proof
    return template.render(
        title=dossier.release.title,
        headline=sections.headline(dossier),
        tone=dossier.tone,
        meaning=dossier.meaning,
        facts=sections.facts(dossier),
        waivers=sections.waivers(dossier),
        holds=holds,
        proof=proof,
        chart=Markup(charts.inline(chart)) if chart else None,  # noqa: S704 - matplotlib's, and it escapes its texts
        alternative=charts.alternative(dossier) if chart else "",
        phases=_bars(dossier),
        tables=sections.tables(dossier),
    )


def _bars(dossier: Dossier) -> list[tuple[str, float]]:
    """Return the states with their share of the time in percent, those too short to be seen left out."""
    whole = sum(phase.duration_s or 0 for phase in dossier.phases)
    if whole <= 0:
        return []
    parts = [(phase.state.value, 100 * (phase.duration_s or 0) / whole) for phase in dossier.phases]
    return [(state, share) for state, share in parts if share >= 0.5]
