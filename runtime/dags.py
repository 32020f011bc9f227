"""Which files Airflow will take for DAG files: a subset of its own rules, kept on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def files(folder: Path) -> list[str]:
    """Return the DAG files of a folder, relative to it.

    Airflow reads a file that has the words ``dag`` and ``airflow`` in it. Every such file directly in the folder has
    to define a DAG, unless its name begins with an underscore: dags/.airflowignore hides those.
    """
    return sorted(
        path.name
        for path in folder.glob("*.py")
        if not path.name.startswith("_")
        and (text := path.read_bytes().lower())
        and b"dag" in text
        and b"airflow" in text
    )
