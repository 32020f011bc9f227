"""The schemas of native kinds, and those of the testbed's CRDs, made strict: an unknown field is an error."""

from __future__ import annotations

import functools
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import yaml
from jsonschema import Draft202012Validator

from testbed.home import Home

KUBERNETES = "1.34"


class _Loader(yaml.CSafeLoader):
    """Reads `=`, which stands as a plain word in a CRD and is a tag of its own in YAML 1.1."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda _loader, node: str(node.value))


def problems(item: dict[str, Any]) -> list[str]:
    """Return what is wrong with an object."""
    crd = _crds().get((item["apiVersion"], item["kind"]))
    if crd is None:
        return _native(item)
    found = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(crd).iter_errors(item)]
    if item["kind"] == "Rollout":
        # The CRD keeps what it does not know of a pod; a Deployment's schema knows all.
        deployment = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "template"},
            "spec": {key: item["spec"][key] for key in ("selector", "template")},
        }
        found += _native(deployment)
    return found


def _native(item: dict[str, Any]) -> list[str]:
    try:
        kubernetes_validate.validate(item, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(str(part) for part in error.path)}: {error.message}"]
    return []


@functools.cache
def _crds() -> dict[tuple[str, str], dict[str, Any]]:
    """Read the CRDs that the testbed installs, from its rendered add-ons."""
    files = sorted(Home.default().manifests.glob("*.yaml"), key=lambda path: path.stat().st_mtime)
    assert files, "no manifests of the testbed: `make up` makes them"
    found = {}
    for path in files:
        for item in yaml.load_all(path.read_text(encoding="utf-8"), _Loader):
            if item and item["kind"] == "CustomResourceDefinition":
                spec = item["spec"]
                for version in spec["versions"]:
                    key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                    found[key] = _strict(version["schema"]["openAPIV3Schema"], is_top=True)
    return found


def _strict(schema: dict[str, Any], *, is_top: bool = False) -> dict[str, Any]:
    """Translate a structural schema into JSON Schema that refuses what the API server would drop in silence."""
    made: dict[str, Any] = {
        key: value
        for key, value in schema.items()
        if key in {"type", "enum", "pattern", "required", "minimum", "maximum", "minLength", "maxLength", "minItems"}
    }
    if schema.get("x-kubernetes-int-or-string"):
        made = {"type": ["integer", "string"]}
    if "properties" in schema:
        made["properties"] = {name: _strict(part) for name, part in schema["properties"].items()}
        if is_top:
            made["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {}}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            made["additionalProperties"] = False
    if isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = _strict(schema["additionalProperties"])
    if "items" in schema:
        made["items"] = _strict(schema["items"])
    return made
