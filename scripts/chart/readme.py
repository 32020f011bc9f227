"""Write the chart's README from the comments of values.yaml: python -m scripts.chart.readme [--check].

The comment lines directly above a key become its description; a comment that an empty line follows belongs to no key.
Keys below `settings` are left to the configuration guide, which knows their limits.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
CHART = ROOT / "include/charts/hive-platform"
README = CHART / "README.md"
WHOLE = frozenset({"settings"})
"""Keys whose content is documented elsewhere."""

HEAD = """# hive-platform

Helm chart of the Hive small-file platform. Generated from values.yaml by `python -m scripts.chart.readme`; do not edit.

```
helm upgrade --install hive-platform include/charts/hive-platform --namespace hive --values OVERLAY \\
  --set backend.digest=sha256:... --set worker.digest=... --set beat.digest=... --set frontend.digest=...
```

Needs Kubernetes 1.30 or newer, Argo Rollouts, Traefik (or ingress-nginx) and, with `monitoring.enabled`, the Prometheus
operator. Traefik must run with `--providers.kubernetescrd.allowEmptyServices=true`. Helm 4 needs `--server-side=false`
for upgrade and rollback. Never use `--no-hooks`: the ConfigMap of the settings is a hook, so that no rollback and no
upgrade takes it from running pods. Old ones stay; remove those that no ReplicaSet names.

| object | name |
|---|---|
| Rollout | `RELEASE-backend` (canary, weighted), `RELEASE-worker` (one first, then all) |
| Deployment | `RELEASE-beat`, `RELEASE-frontend` |
| Service | `RELEASE-backend-stable`, `RELEASE-backend-canary`, `RELEASE-frontend` |
| TraefikService, IngressRoute | `RELEASE-backend`, `RELEASE` (page `/`, API `/api/`), `RELEASE-to-https` |
| ConfigMap | `RELEASE-config-HASH` |
| AnalysisTemplate | `RELEASE-dead-man-switch` |
| Job (rendered apart, `--show-only templates/migration-job.yaml`) | `RELEASE-migrate-DIGEST-ATTEMPT` |

## Values

| key | default | what it is |
|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """One key.

    :param default: as YAML on one line.
    """

    key: str
    default: str
    about: str


def rows(text: str) -> Iterator[Row]:
    """Yield the keys of values.yaml in their order, leaves and what is documented as a whole."""
    document = yaml.compose(text)
    if not isinstance(document, yaml.MappingNode):
        raise TypeError("values.yaml: expected a mapping at its top")
    yield from _rows(document, "", text.splitlines())


def _rows(node: yaml.MappingNode, prefix: str, lines: list[str]) -> Iterator[Row]:
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        about = _comment_above(key.start_mark.line, lines)
        is_inline = not isinstance(value, yaml.MappingNode) or value.flow_style or bool(about and prefix)
        if name in WHOLE:
            yield Row(name, "see values.yaml", about)
        elif is_inline:
            yield Row(name, _one_line(value), about)
        else:
            yield from _rows(value, f"{name}.", lines)


def _comment_above(line: int, lines: list[str]) -> str:
    found: list[str] = []
    while line > 0 and lines[line - 1].lstrip().startswith("#"):
        line -= 1
        found.insert(0, lines[line].lstrip().removeprefix("#").strip())
    return " ".join(found)


def _one_line(value: yaml.Node) -> str:
    plain = yaml.safe_load(yaml.serialize(value))
    return yaml.safe_dump(plain, default_flow_style=True, width=10_000, sort_keys=False).removesuffix("...\n").strip()


def render() -> str:
    """Return the README as it should be."""
    listed = "".join(f"| `{row.key}` | `{row.default}` | {row.about} |\n" for row in rows(_values()))
    return HEAD + listed


def _values() -> str:
    return (CHART / "values.yaml").read_text()


def main() -> int:
    """Write the file, or with --check say whether it is as it should be."""
    wanted = render()
    if "--check" in sys.argv[1:]:
        return 0 if README.read_text() == wanted else 1
    README.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
