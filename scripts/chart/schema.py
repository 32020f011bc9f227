"""Put the application's own schema into the chart's: python -m scripts.chart.schema [--check]."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CHART_SCHEMA = ROOT / "include/charts/hive-platform/values.schema.json"
SETTINGS_SCHEMA = ROOT / "include/app/backend/settings.schema.json"


def with_settings(chart: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Return the chart's schema with the settings below $defs, everything else as it is."""
    return {**chart, "$defs": {**chart["$defs"], "settings": settings}}


def render() -> str:
    """Return the file as it should be."""
    chart, settings = (json.loads(path.read_text()) for path in (CHART_SCHEMA, SETTINGS_SCHEMA))
    return json.dumps(with_settings(chart, settings), indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the file, or with --check say whether it is as it should be."""
    wanted = render()
    if "--check" in sys.argv[1:]:
        return 0 if CHART_SCHEMA.read_text() == wanted else 1
    CHART_SCHEMA.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
