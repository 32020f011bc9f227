"""The dossier as files in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.errors import RefusedError
from slipway.report import charts, html, markdown

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.report.dossier import Dossier


@dataclass(frozen=True, slots=True)
class Written:
    """Where the dossier lies. `charts` is None for a release without samples."""

    html: Path
    markdown: Path
    charts: Path | None


def save(dossier: Dossier, folder: Path) -> Written:
    """Write ID.html, ID.md and ID.svg into a folder, which is made when it is absent.

    :raises RefusedError: the folder cannot be written.
    """
    stem = dossier.release.id
    svg = charts.draw(dossier)
    picture = folder / f"{stem}.svg" if svg else None
    written = Written(folder / f"{stem}.html", folder / f"{stem}.md", picture)
    write(written.html, html.render(dossier, svg).encode())
    write(written.markdown, markdown.render(dossier, picture.name if picture else None).encode())
    if picture and svg:
        write(picture, svg)
    return written


def write(path: Path, content: bytes) -> None:
    """Write one file, whole or not at all, and make its folder when it is absent.

    :raises RefusedError: it cannot be written.
    """
    half = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes(content)
        half.replace(path)
    except OSError as error:
        raise RefusedError(
            f"The dossier cannot be written to {path}.", found=error.strerror, mend="name another place."
        ) from None
