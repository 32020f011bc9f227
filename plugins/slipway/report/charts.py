"""The three charts over one axis of time, as one SVG: error rate, P95, share of the traffic.

The new version is the thick orange line, the stable one the thin dashed blue one (Okabe and Ito's colours, apart for
every kind of colour blindness, and apart in grey by their strokes). matplotlib is loaded only here, when drawing.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from slipway.report.words import clean, rate, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from matplotlib.axes import Axes

    from slipway.report.dossier import Dossier, Judged, Point

CANARY: Final = "#D55E00"
STABLE: Final = "#0072B2"
INK: Final = "#1f2328"
QUIET: Final = "#6b7280"
MARKS: Final = {"FAIL": ("✕", "#B00020"), "PASS": ("✓", "#00664A")}
STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",  # text stays text: it can be searched, read aloud and scaled
    "svg.hashsalt": "slipway",  # the same dossier gives the same bytes
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e5e7eb",
    "axes.axisbelow": True,
}


def draw(dossier: Dossier, form: str = "svg") -> bytes | None:
    """Return the charts as a picture, or None when the release has no samples.

    :param form: svg or png.
    """
    if not dossier.points:
        return None
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 8.2), layout="constrained")
        errors, latency, share = figure.subplots(3, 1, sharex=True)
        _errors(errors, dossier)
        _latency(latency, dossier)
        _share(share, dossier)
        for axes in (errors, latency, share):
            _mark(axes, dossier, labels=axes is errors)
        _time_axis(share, dossier.points)
        handles = [*errors.get_lines()[:2]]
        figure.legend(handles=handles, loc="outside upper left", ncols=2, frameon=False)
        out = io.BytesIO()
        figure.savefig(out, format=form, metadata={"Date": None} if form == "svg" else None, dpi=110)
    return out.getvalue()


def inline(svg: bytes) -> str:
    """Return an SVG without its prologue, for the inside of a page."""
    text = svg.decode()
    return text[text.index("<svg") :]


def alternative(dossier: Dossier) -> str:
    """Return what the charts show as a sentence, for who cannot see them."""
    points = dossier.points
    worst = max((point.canary_rate for point in points if point.canary_rate is not None), default=None)
    slowest = max((point.canary_p95_s for point in points if point.canary_p95_s is not None), default=None)
    weight = max((point.weight for point in points if point.weight is not None), default=None)
    parts = [
        f"error rate of the new version at most {rate(worst)}" if worst is not None else "",
        f"its P95 at most {seconds(slowest)}" if slowest is not None else "",
        f"its weight at most {weight:.0f} %" if weight is not None else "",
    ]
    return f"Charts over time for new and stable version: {', '.join(part for part in parts if part)}."


def _errors(axes: Axes, dossier: Dossier) -> None:
    _lines(axes, dossier.points, lambda one: _percent(one.canary_rate), lambda one: _percent(one.stable_rate))
    axes.set_title("Failed requests, % of the last 15 s", loc="left", fontsize=11)
    if dossier.max_error_rate is not None:
        _limit(axes, dossier.max_error_rate * 100, f"limit {rate(dossier.max_error_rate)}")
    axes.set_ylim(0, max(axes.get_ylim()[1], 1) * 1.28)  # room for the marks above the lines


def _latency(axes: Axes, dossier: Dossier) -> None:
    _lines(axes, dossier.points, lambda one: _milli(one.canary_p95_s), lambda one: _milli(one.stable_p95_s))
    axes.set_title("95 % of the requests are faster than, ms", loc="left", fontsize=11)
    ratio = dossier.max_p95_ratio
    if ratio is not None:
        limits = [_scaled(_milli(one.stable_p95_s), ratio) for one in dossier.points]
        axes.plot(_times(dossier.points), _gaps(limits), color=QUIET, lw=1, ls=":")
        _say_limit(axes, dossier.points, limits, f"limit {ratio:g} x stable")
    axes.set_ylim(0, axes.get_ylim()[1] * 1.1)


def _share(axes: Axes, dossier: Dossier) -> None:
    times = _times(dossier.points)
    asked = _gaps([one.weight for one in dossier.points])
    axes.step(times, asked, where="post", color=INK, lw=1.2, ls="--", label="asked for")
    axes.plot(times, _gaps([_percent(one.share) for one in dossier.points]), color=CANARY, lw=2.4, label="observed")
    axes.set_title("Share of the requests that the new version got, %", loc="left", fontsize=11)
    axes.set_ylim(-2, 105)
    axes.legend(loc="upper left", frameon=False, ncols=2, fontsize=9)


def _lines(
    axes: Axes,
    points: Sequence[Point],
    canary: Callable[[Point], float | None],
    stable: Callable[[Point], float | None],
) -> None:
    times = _times(points)
    axes.plot(times, _gaps([canary(one) for one in points]), color=CANARY, lw=2.4, label="new version", zorder=3)
    axes.plot(times, _gaps([stable(one) for one in points]), color=STABLE, lw=1.6, ls=(0, (4, 2)), label="stable")


def _mark(axes: Axes, dossier: Dossier, *, labels: bool) -> None:
    """Draw where the weight changed and where a verdict fell."""
    top = axes.get_xaxis_transform()
    for at, weight in _steps(dossier.points):
        axes.axvline(at, color=QUIET, lw=0.8, ls=":")
        if labels:
            axes.annotate(
                f"{weight:g} %", (at, 1.0), xycoords=top, xytext=(3, -2), textcoords="offset points",
                fontsize=9, color=QUIET, va="top",
            )  # fmt: skip
    for verdict in _told(dossier.verdicts):
        sign, colour = MARKS[verdict.verdict]
        axes.axvline(_number(verdict.at), color=colour, lw=1.4)
        if labels:
            text = f"{sign} {verdict.verdict}" + (f" {clean(verdict.rule)}" if verdict.rule else "")
            axes.annotate(
                text, (_number(verdict.at), 1.0), xycoords=top, xytext=(-4, -3), textcoords="offset points",
                fontsize=9, color=colour, va="top", ha="right", weight="bold",
                bbox={"boxstyle": "square,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85},
            )  # fmt: skip


def _told(verdicts: Sequence[Judged]) -> list[Judged]:
    """Return the verdicts that say something new: each change to PASS or FAIL."""
    told: list[Judged] = []
    for verdict in verdicts:
        if verdict.verdict in MARKS and (
            not told or (told[-1].verdict, told[-1].stage) != (verdict.verdict, verdict.stage)
        ):
            told.append(verdict)
    return told


def _steps(points: Sequence[Point]) -> list[tuple[float, float]]:
    steps: list[tuple[float, float]] = []
    for point in points:
        if point.weight is not None and (not steps or steps[-1][1] != point.weight):
            steps.append((_number(point.at), point.weight))
    return steps


def _limit(axes: Axes, value: float, text: str) -> None:
    axes.axhline(value, color=QUIET, lw=1, ls=":")
    axes.annotate(
        text, (0, value), xycoords=axes.get_yaxis_transform(), xytext=(4, 2), textcoords="offset points",
        fontsize=9, color=QUIET, va="bottom",
    )  # fmt: skip


def _say_limit(axes: Axes, points: Sequence[Point], limits: Sequence[float | None], text: str) -> None:
    last = next(((one.at, limit) for one, limit in reversed([*zip(points, limits, strict=True)]) if limit), None)
    if last is not None:
        axes.annotate(
            text, (_number(last[0]), last[1]), xytext=(-2, 3), textcoords="offset points", fontsize=9, color=QUIET,
            ha="right", va="bottom",
        )  # fmt: skip


def _time_axis(axes: Axes, points: Sequence[Point]) -> None:
    dates = _dates()
    axes.xaxis.set_major_locator(dates.AutoDateLocator(minticks=4, maxticks=9))
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M:%S"))
    axes.set_xlabel(f"time of day, UTC, {points[0].at:%Y-%m-%d}", loc="left", color=QUIET)
    first, last = _number(points[0].at), _number(points[-1].at)
    pad = max((last - first) * 0.02, 1 / 86_400)
    axes.set_xlim(first - pad, last + pad)


def _times(points: Sequence[Point]) -> list[float]:
    return [_number(point.at) for point in points]


def _number(at: datetime) -> float:
    return float(_dates().date2num(at))


def _dates() -> Any:
    # Any: this module of matplotlib has no types.
    from matplotlib import dates

    return dates


def _gaps(values: Sequence[float | None]) -> list[Any]:
    """Return the values with "not known" as a gap in the line, not as 0."""
    return [float("nan") if value is None else value for value in values]


def _percent(value: float | None) -> float | None:
    return None if value is None else value * 100


def _milli(value: float | None) -> float | None:
    return None if value is None else value * 1000


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
