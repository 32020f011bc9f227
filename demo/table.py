"""The table at the end of the demo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from demo.record import Met


@dataclass(frozen=True)
class Outcome:
    """How one release ended.

    :param expected: state that it should end in.
    :param state: that it ended in.
    :param took_s: from the trigger to the run's end.
    :param met: what users met meanwhile.
    :param rollback_s: from the decision to the last proof, None when nothing was taken back.
    :param rule: the rule that decided against it.
    """

    version: str
    what: str
    expected: str
    state: str
    took_s: float
    met: Met
    rollback_s: float | None
    rule: str
    dossier: Path

    @property
    def as_it_should(self) -> bool:
        """Whether it ended as it should."""
        return self.state == self.expected


def table(outcomes: list[Outcome]) -> Table:
    """Lay the outcomes out, within the 80 columns of a pipe."""
    early = sum(one.met.early for one in outcomes)
    caption = f"{early:,} requests before the first version was there are not counted" if early else None
    made = Table(title="What happened", title_justify="left", caption=caption, caption_justify="left")
    for heading in ("release", "what it is", "ended", "time", "failed user\nrequests", "exposure", "rollback"):
        words = heading in ("release", "what it is", "ended")
        made.add_column(heading, justify="left" if words else "right", no_wrap=heading != "what it is")
    for one in outcomes:
        ended = [one.state, *([one.rule] if one.rule else []), *([] if one.as_it_should else [f"not {one.expected}"])]
        exposure = "" if one.rollback_s is None or one.met.exposure_s is None else f"{one.met.exposure_s:.1f} s"
        made.add_row(
            one.version, one.what, "\n".join(ended), f"{one.took_s:.0f} s", f"{one.met.failed} of {one.met.requests:,}",
            exposure, "" if one.rollback_s is None else f"{one.rollback_s:.1f} s",
        )  # fmt: skip
    return made
