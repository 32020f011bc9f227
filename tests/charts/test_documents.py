"""What is generated is fresh, and what is written twice agrees: schema, README, values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from scripts.chart import readme, schema
from tests.charts.chart import CHART, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS_SCHEMA = json.loads((ROOT / "include/app/backend/settings.schema.json").read_text(encoding="utf-8"))
CHART_SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
VALUES = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))

ADDRESSES = {"database.database_url", "celery.redis_url", "hive.storage_roots", "process.environment"}
"""Settings that have no default fit for production."""


def test_the_settings_are_the_application_s_own_word_for_word() -> None:
    assert CHART_SCHEMA["$defs"]["settings"] == SETTINGS_SCHEMA
    assert schema.render() == (CHART / "values.schema.json").read_text(encoding="utf-8"), (
        "run python -m scripts.chart.schema"
    )


def test_the_readme_is_fresh() -> None:
    assert readme.render() == (CHART / "README.md").read_text(encoding="utf-8"), "run python -m scripts.chart.readme"


def test_every_value_is_described() -> None:
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    silent = [
        row.key for row in readme.rows(text) if not row.about and not row.key.endswith((".router", ".prometheus"))
    ]
    assert silent == []


def test_a_comment_above_an_empty_line_describes_nothing() -> None:
    found = list(readme.rows("# head\n\n# one\n# two\na: 1\nb:\n  # three\n  c: [x]\n"))
    assert found == [readme.Row("a", "1", "one two"), readme.Row("b.c", "[x]", "three")]


def test_the_schema_is_closed_at_every_level() -> None:
    open_ones = [path for path, part in objects_of(CHART_SCHEMA) if "additionalProperties" not in part]
    # `global` is Helm's own; the other is the one that must be empty.
    assert open_ones == ["properties.global", "properties.followerSettings.anyOf.0"]


def test_every_key_of_the_schema_has_a_value_and_the_other_way_round() -> None:
    """7.3: values.yaml is the complete production configuration."""
    known = set(CHART_SCHEMA["properties"]) - {"global"}
    assert known == set(VALUES)
    for name in ("backend", "worker", "beat", "frontend", "deadManSwitch", "ingress", "migration", "monitoring"):
        assert set(CHART_SCHEMA["properties"][name]["properties"]) == set(VALUES[name]), name


def test_every_setting_stands_in_values_with_its_default() -> None:
    expected = {
        f"{group}.{field}": rule.get("default")
        for group, part in SETTINGS_SCHEMA["properties"].items()
        for field, rule in part["properties"].items()
        if group != "fault"
    }
    found = {f"{group}.{field}": value for group, part in VALUES["settings"].items() for field, value in part.items()}
    assert found.keys() == expected.keys()
    assert {key for key in found if found[key] != expected[key]} == ADDRESSES


def objects_of(part: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every schema of an object."""
    if isinstance(part, list):
        for number, item in enumerate(part):
            yield from objects_of(item, f"{path}.{number}")
    elif isinstance(part, dict):
        if part.get("type") == "object":
            yield path.removeprefix("."), part
        for key, item in part.items():
            yield from objects_of(item, f"{path}.{key}")
