"""Renders the chart as Helm does, and finds objects in what comes out."""

from __future__ import annotations

import functools
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

from testbed.home import Home

ROOT = Path(__file__).parents[2]
CHART = ROOT / "include/charts/hive-platform"
RELEASE = "hive-platform"
NAMESPACE = "hive"
BIN = Home.default().bin
OVERLAYS = ("", "staging", "local")
"""Production is the chart's own values.yaml."""
COMPONENTS = ("backend", "worker", "beat", "frontend")
POD_COMPONENTS = (*COMPONENTS, "migration", "test")


def digest(letter: str) -> str:
    """Return a digest that nobody pushed."""
    return "sha256:" + letter * 64


DIGESTS: dict[str, Any] = {name: {"digest": digest("a")} for name in COMPONENTS}


def tool(name: str) -> str:
    """Return the path of a program of the testbed."""
    path = BIN / name
    assert path.exists(), f"{path} is not there: `make up` builds it"
    return str(path)


def helm(*arguments: str, values: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm on the chart; the exit code is the caller's business.

    :param values: on top of the digests of all components.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as given, tempfile.NamedTemporaryFile("w") as base:
        json.dump(DIGESTS, base)
        json.dump(values or {}, given)
        base.flush()
        given.flush()
        command = [tool("helm"), *arguments, f"--values={base.name}", f"--values={given.name}"]
        return subprocess.run(command, text=True, capture_output=True, timeout=60, check=False)


def overlay_arguments(overlay: str) -> list[str]:
    """Return the arguments that choose an environment."""
    return [f"--values={CHART / f'values-{overlay}.yaml'}"] if overlay else []


def template(overlay: str = "", values: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm template."""
    more = overlay_arguments(overlay)
    return helm("template", RELEASE, str(CHART), f"--namespace={NAMESPACE}", *more, values=values)


class Objects:
    """What the chart makes, by kind and name."""

    def __init__(self, text: str) -> None:
        self.all: list[dict[str, Any]] = [item for item in yaml.load_all(text, yaml.CSafeLoader) if item]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the objects of a kind."""
        return [item for item in self.all if item["kind"] == kind]

    def get(self, kind: str, suffix: str = "") -> dict[str, Any]:
        """Return an object by its name after the release's."""
        name = RELEASE + (f"-{suffix}" if suffix else "")
        found = [item for item in self.of(kind) if item["metadata"]["name"] == name]
        assert len(found) == 1, f"{kind} {name}: {[item['metadata']['name'] for item in self.of(kind)]}"
        return found[0]

    @property
    def by_name(self) -> dict[str, dict[str, Any]]:
        """Return all objects under KIND/NAME."""
        return {f"{item['kind']}/{item['metadata']['name']}": item for item in self.all}

    @property
    def pod_specs(self) -> dict[str, dict[str, Any]]:
        """Return the spec of every pod that the chart makes, by component."""
        found = {}
        for item in self.all:
            pod = item if item["kind"] == "Pod" else item["spec"].get("template") if "spec" in item else None
            if pod and "containers" in pod.get("spec", {}):
                found[pod["metadata"]["labels"]["app.kubernetes.io/component"]] = pod["spec"]
        return found

    @property
    def config(self) -> dict[str, str]:
        """Return the data of the one ConfigMap."""
        (found,) = self.of("ConfigMap")
        return dict(found["data"])


def render(overlay: str = "", values: dict[str, Any] | None = None) -> Objects:
    """Return the objects of an environment."""
    return _render(overlay, json.dumps(values or {}, sort_keys=True))


@functools.cache
def _render(overlay: str, values: str) -> Objects:
    done = template(overlay, json.loads(values))
    assert done.returncode == 0, done.stderr
    return Objects(done.stdout)


def refusal(values: dict[str, Any], overlay: str = "") -> str:
    """Return what Helm says to values that it must refuse."""
    done = template(overlay, values)
    assert done.returncode != 0, "these values should have been refused"
    return done.stderr
