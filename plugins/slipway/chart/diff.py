"""The difference between two manifests, object by object and field by field, as a gate and as lines to read. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from slipway.errors import GateError, HelmError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHOWN_CHANGES = 20


@dataclass(frozen=True, order=True)
class ObjectId:
    """What identifies an object within a release; a version of its API is no part of that."""

    group: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Change:
    """One field that differs; None stands for "not there"."""

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.path}: {_short(self.before)} -> {_short(self.after)}"


@dataclass(frozen=True)
class Difference:
    """What an upgrade would do to the objects of a release."""

    added: tuple[ObjectId, ...] = ()
    removed: tuple[ObjectId, ...] = ()
    changed: Mapping[ObjectId, tuple[Change, ...]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Nothing would happen."""
        return not (self.added or self.removed or self.changed)

    def lines(self) -> Iterator[str]:
        """Yield the difference for a log, an object or a field a line."""
        for word, objects in (("add", self.added), ("remove", self.removed)):
            for item in objects:
                yield f"{word} {item}"
        for item, changes in sorted(self.changed.items()):
            yield f"change {item}"
            yield from (f"  {change}" for change in changes[:SHOWN_CHANGES])
            if len(changes) > SHOWN_CHANGES:
                yield f"  and {len(changes) - SHOWN_CHANGES} more"

    def require_only(self, allowed: ObjectId) -> None:
        """Let pass only a change of one object, and objects that are new.

        New ones are admitted because configuration is hash-named: a new ConfigMap harms nobody before a pod names it.

        :raises GateError: anything else would change or go.
        """
        others = [str(item) for item in (*self.removed, *sorted(self.changed)) if item != allowed]
        if others:
            raise GateError(
                f"the upgrade would touch more than {allowed}, so users would meet the new version before the canary",
                found=", ".join(others),
                mend="bring what changes these to the version that serves first (scripts/deploy/deploy_k8s.sh), or "
                "find why the chart renders them anew",
            )


def objects(manifest: str) -> dict[ObjectId, dict[str, Any]]:
    """Read the objects of a manifest.

    :raises HelmError: it is no YAML, or an object has no kind or name, or two have the same.
    """
    found: dict[ObjectId, dict[str, Any]] = {}
    try:
        documents = list(yaml.load_all(manifest, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except yaml.YAMLError as error:
        raise HelmError("the chart renders something that is no YAML", found=str(error)) from None
    for document in documents:
        if document is None:
            continue
        try:
            group = str(document["apiVersion"]).rpartition("/")[0]
            key = ObjectId(group, str(document["kind"]), str(document["metadata"]["name"]))
        except (KeyError, TypeError) as error:
            raise HelmError(
                "the chart renders something that is no Kubernetes object",
                found=f"{error!r} in {str(document)[:200]!r}",
            ) from None
        if key in found:
            raise HelmError("the chart renders the same object twice", found=str(key))
        found[key] = document
    return found


def difference(before: str, after: str) -> Difference:
    """Compare two manifests; order and comments do not matter."""
    old, new = objects(before), objects(after)
    changed = {key: tuple(_changes(old[key], new[key], "")) for key in old.keys() & new.keys() if old[key] != new[key]}
    return Difference(tuple(sorted(new.keys() - old.keys())), tuple(sorted(old.keys() - new.keys())), changed)


def _changes(before: Any, after: Any, path: str) -> Iterator[Change]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys(), key=str):
            yield from _changes(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _changes(old, new, f"{path}[{index}]")
    else:
        yield Change(path, before, after)


def _short(value: Any) -> str:
    text = "nothing" if value is None else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 160 else text[:157] + "..."
