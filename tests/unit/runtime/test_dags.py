from __future__ import annotations

from typing import TYPE_CHECKING

from runtime import dags
from runtime.home import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

DAG = "from airflow.sdk import dag\n"


def test_finds_what_airflow_takes_for_dag_files(tmp_path: Path) -> None:
    for name, text in {
        "release.py": DAG,
        "rollback.py": "from airflow.sdk import DAG\n",
        "_shared.py": DAG,
        "helper.py": "import json\n",
        "notes.md": DAG,
        "empty.py": "",
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "inner.py").write_text(DAG, encoding="utf-8")
    assert dags.files(tmp_path) == ["release.py", "rollback.py"]


def test_the_ignored_names_are_those_that_airflow_is_told_to_ignore() -> None:
    lines = (REPOSITORY / "dags/.airflowignore").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["_*"]
