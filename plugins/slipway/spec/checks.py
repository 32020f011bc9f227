"""What one file alone cannot know: that release spec, environment, chart and settings fit together."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from slipway.spec.environment import SyntheticLoad
from slipway.spec.findings import Finding, nearest, refusal, shown
from slipway.spec.reading import read
from slipway.spec.values import effective_settings, get, layers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from jsonschema.exceptions import ValidationError as SchemaError

    from slipway.spec.environment import CanaryPolicy, Environment
    from slipway.spec.findings import Step
    from slipway.spec.model import Spec
    from slipway.spec.reading import Document
    from slipway.spec.release import ReleaseSpec


def check_release(release: ReleaseSpec, document: Document, root: Path) -> list[Finding]:
    """List what a release spec names and the project does not have.

    :param document: the file that the spec was read from.
    :param root: the project's folder.
    """
    findings = [finding for finding in _missing_files(release, document, root) if finding is not None]
    values = root / release.chart.path / "values.yaml"
    if not findings and values.is_file():
        findings += _missing_values(release, document, read(values, f"{release.chart.path}/values.yaml"))
    return findings


def _missing_files(release: ReleaseSpec, document: Document, root: Path) -> Iterator[Finding | None]:
    def file(path: tuple[Step, ...], name: str) -> Finding | None:
        return _absent(document, path, name, (root / name).is_file, "a file")

    def folder(path: tuple[Step, ...], name: str) -> Finding | None:
        return _absent(document, path, name, (root / name).is_dir, "a folder")

    yield file(("chart", "path"), f"{release.chart.path}/Chart.yaml")
    yield file(("chart", "path"), f"{release.chart.path}/values.yaml")
    for index, image in enumerate(release.images):
        yield folder(("images", index, "context"), image.context)
        yield file(("images", index, "dockerfile"), image.dockerfile)
    if (migration := release.migration) is not None:
        yield file(("migration", "template"), f"{release.chart.path}/{migration.template}")
        yield file(("migration", "alembic_ini"), migration.alembic_ini)
        yield folder(("migration", "versions"), migration.versions)
    if release.settings is not None:
        yield file(("settings", "schema_path"), release.settings.schema_path)
    for index, dashboard in enumerate(release.dashboards):
        yield file(("dashboards", index), dashboard)


def _absent(
    document: Document, path: tuple[Step, ...], name: str, there: Callable[[], bool], kind: str
) -> Finding | None:
    if there():
        return None
    return document.finding(path, "it is not in the project", found=repr(name), allowed=f"{kind} of the project")


def _missing_values(release: ReleaseSpec, document: Document, chart: Document) -> Iterator[Finding]:
    """Find values that the spec would set and the chart does not know: Helm would take them in silence."""
    for path, value in _named_values(release):
        steps = value.split(".")
        if not get(chart.value, steps)[0]:
            _, above = get(chart.value, steps[:-1])
            known = sorted(above) if isinstance(above, dict) else []
            yield document.finding(
                path, f"{chart.file} has no such value", found=repr(value), allowed=", ".join(known) or None,
                nearest=nearest(steps[-1], known),
            )  # fmt: skip


def _named_values(release: ReleaseSpec) -> Iterator[tuple[tuple[Step, ...], str]]:
    """Yield every chart value that the spec names, with its place in the spec."""
    for number, image in enumerate(release.images):
        for index, feed in enumerate(image.feeds):
            yield ("images", number, "feeds", index, "repository"), feed.repository
            yield ("images", number, "feeds", index, "digest"), feed.digest
            if feed.version is not None:
                yield ("images", number, "feeds", index, "version"), feed.version
    sections: tuple[tuple[tuple[Step, ...], Spec | None], ...] = (
        (("chart", "values"), release.chart.values),
        (("migration", "values"), release.migration.values if release.migration else None),
    )
    for path, section in sections:
        for name, value in (section.model_dump() if section else {}).items():
            if value is not None:
                yield (*path, name), value
    if release.settings is not None:
        yield ("settings", "values"), release.settings.values
        if release.settings.follower_values is not None:
            yield ("settings", "follower_values"), release.settings.follower_values


def check_together(
    release: ReleaseSpec, environment: Environment, document: Document, root: Path
) -> list[Finding]:  # fmt: skip
    """List what keeps an application from this environment.

    :param document: the file that the environment was read from.
    :param root: the project's folder.
    :raises SpecError: a layer of values, or the settings' schema, cannot be read.
    """
    name = release.application
    if name not in environment.applications:
        known = sorted(environment.applications)
        return [
            document.finding(
                ("applications",), f"{name} is not released here", found=", ".join(known),
                allowed=f"an entry {name}", nearest=nearest(name, known),
            )
        ]  # fmt: skip
    place: tuple[Step, ...] = ("applications", name)
    findings = [
        document.finding((*place, "values", index), "it is not in the project", found=repr(path), allowed="a file")
        for index, path in enumerate(environment.applications[name].values)
        if not (root / path).is_file()
    ]
    if findings:
        return findings
    if release.secrets is not None and environment.kind not in release.secrets.keys:
        findings.append(
            document.finding(
                ("kind",), f"the release spec of {name} does not say which keys its Secret has here",
                found=str(environment.kind), allowed=f"an entry {environment.kind} in secrets.keys",
            )
        )  # fmt: skip
    if release.migration is not None and environment.applications[name].database is None:
        findings.append(
            document.finding(place, f"{name} has a migration, but its database is not named", allowed="a key database")
        )
    if release.synthetic_paths == () and environment.canary.load.kind == "synthetic":
        findings.append(
            document.finding(
                ("canary", "load"), f"{name} names no paths for the load that slipway makes",
                allowed="synthetic_paths in the release spec, or another kind of load",
            )
        )  # fmt: skip
    findings += _too_few_requests(environment.canary, environment.monitoring.scrape_interval_s, document)
    return findings + check_settings(release, environment, document, root)


BEGINS_S = 10.0
"""How long after a weight was reached slipway's own requests may begin to come: the watch has to be taken up first."""
FIRST = "at a first install"


def _too_few_requests(canary: CanaryPolicy, scrape_s: float, document: Document) -> Iterator[Finding]:
    """Find watches that slipway's own load cannot bring to a verdict: such a canary would go back, however good it is.

    The router shares the requests by weight, so the canary gets its part of them, and a P95 needs enough of either
    version. At 100 % it is compared with the stable version of the stage before.
    """
    if not isinstance(canary.load, SyntheticLoad):
        return
    rate, limits, last = canary.load.requests_per_s, canary.limits, canary.steps[-1]
    watches = [(f"at {step.weight} %", step, step.hold_s) for step in canary.steps[:-1]]
    watches.append((f"at {last.weight} %", last, canary.retain_s))
    watches.append((FIRST, last, canary.first_install_hold_s))
    for where, step, hold_s in watches:
        part = step.weight / 100
        thinner = min(part, 1 - part) or part
        needs = [(step.min_requests or limits.min_requests, part, "requests to the canary")]
        if where != FIRST:  # it has no version to compare its P95 with
            needs.append((limits.min_requests_latency, thinner, "requests to each version, for a P95"))
        least, share, what = max(needs, key=lambda need: need[0] / need[1])
        deadline_s = limits.no_data_deadline_s if step.deadline_s is None else step.deadline_s
        sent_s = max(hold_s + deadline_s - BEGINS_S - scrape_s, 0.0)
        if rate * share * sent_s < least:
            more = f"{math.ceil(10 * least / share / sent_s) / 10:g} requests/s or more, " if sent_s else ""
            yield document.finding(
                ("canary", "load", "requests_per_s"),
                f"too few for a verdict {where}, which needs {least:,} {what}",
                found=f"{rate:g} requests/s: {rate * share * sent_s:,.0f} of them are seen there in hold and deadline "
                f"({hold_s:g} s + {deadline_s:g} s)",
                allowed=f"{more}a longer hold, or a lower minimum",
            )


def check_settings(release: ReleaseSpec, environment: Environment, document: Document, root: Path) -> list[Finding]:
    """Hold the effective settings (chart < overlays < environment) against the application's own schema."""
    if release.settings is None:
        given = environment.applications[release.application].settings
        path = ("applications", release.application, "settings")
        return [document.finding(path, "the application has no settings")] if given else []
    settings = effective_settings(release, environment, root)
    below = [(layer, tuple(release.settings.values.split("."))) for layer in layers(release, environment, root)]
    top: tuple[str, ...] = ("applications", release.application, "settings")
    sources = [(document, top), *reversed(below)]
    findings = [
        _schema_finding(error, sources) for error in _errors(root / release.settings.schema_path, settings)
    ]  # fmt: skip
    return findings + _environment_setting(release, environment, settings, sources)


def _errors(path: Path, settings: dict[str, Any]) -> list[SchemaError]:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError as BrokenSchemaError

    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
        Draft202012Validator.check_schema(schema)
    except (OSError, ValueError, RecursionError, BrokenSchemaError):
        what = "the settings' schema cannot be read"
        raise refusal(path.name, [Finding(path.name, "", None, what, allowed="JSON Schema 2020-12")]) from None
    return sorted(Draft202012Validator(schema).iter_errors(settings), key=lambda error: list(map(str, error.path)))


def _schema_finding(error: SchemaError, sources: list[tuple[Document, tuple[str, ...]]]) -> Finding:
    """Word an error of the schema. Its own message quotes the value, and so perhaps a secret."""
    path: tuple[Step, ...] = tuple(error.absolute_path)
    schema = error.schema if isinstance(error.schema, dict) else {}
    known = sorted(schema.get("properties", {}))
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        key = next(iter(sorted(set(error.instance) - set(known))))
        document, place = _source((*path, key), sources)
        return document.finding(place, "unknown setting", allowed=", ".join(known), nearest=nearest(key, known))
    if error.validator == "required" and isinstance(error.instance, dict):
        required: list[str] = list(schema["required"])
        missing = next(name for name in required if name not in error.instance)
        document, place = _source((*path, missing), sources)
        return document.finding(place, "the setting is missing", allowed=schema_words(_property(schema, missing)))
    document, place = _source(path, sources)
    what = _SCHEMA_SENTENCES.get(str(error.validator), "not admitted")
    return document.finding(
        place,
        what,
        found=shown(path, error.instance),
        allowed=schema_words({str(error.validator): error.validator_value}),
    )


def _property(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the schema of one property, or an empty one."""
    found = schema.get("properties", {}).get(name, {})
    return found if isinstance(found, dict) else {}


def _source(
    path: tuple[Step, ...], sources: list[tuple[Document, tuple[str, ...]]]
) -> tuple[Document, tuple[Step, ...]]:
    """Return the topmost layer that says something at a path, or the environment."""
    for document, place in sources:
        if get(document.value, (*place, *path))[0]:
            return document, (*place, *path)
    return sources[0][0], (*sources[0][1], *path)


_SCHEMA_SENTENCES = {
    "type": "of another type",
    "enum": "not one of the known words",
    "const": "not admitted in this environment",
    "pattern": "not in the right form",
    "minimum": "too small",
    "exclusiveMinimum": "too small",
    "maximum": "too large",
    "exclusiveMaximum": "too large",
    "minLength": "too short",
    "maxLength": "too long",
    "minItems": "too few items",
    "maxItems": "too many items",
}


def schema_words(schema: dict[str, Any]) -> str | None:
    """Return what a JSON Schema allows, in words."""
    if "enum" in schema:
        return ", ".join(map(_json_word, schema["enum"]))
    if "const" in schema:
        return _json_word(schema["const"])
    kind = schema.get("type")
    words = [str(kind)] if kind else []
    words += [f"{text} {schema[key]}" for key, text in _LIMITS.items() if key in schema]
    return ", ".join(words) or None


_LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "minLength": "least length",
    "maxLength": "greatest length",
    "minItems": "least number",
    "maxItems": "greatest number",
    "pattern": "matches",
}


def _json_word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _environment_setting(
    release: ReleaseSpec, environment: Environment, settings: dict[str, Any],
    sources: list[tuple[Document, tuple[str, ...]]],
) -> list[Finding]:  # fmt: skip
    """Hold what the application thinks of where it runs against the kind of the environment."""
    spec = release.settings
    if spec is None or spec.environment is None or environment.kind not in spec.environments:
        return []
    path: tuple[Step, ...] = tuple(spec.environment.split("."))
    expected = spec.environments[environment.kind]
    _, found = get(settings, path)
    if found == expected:
        return []
    document, place = _source(path, sources)
    what = f"the application would not know that it runs in {environment.kind}"
    return [document.finding(place, what, found=shown(path, found), allowed=expected)]


def check_isolation(first: Environment, second: Environment) -> list[Finding]:
    """List what a production environment shares with another one: hosts, databases, namespaces, secrets.

    :param first: for example production; findings are about it.
    :param second: for example local.
    """
    findings = []
    for what, one, other in (
        ("a host", _hosts(first), _hosts(second)),
        ("a database", _databases(first), _databases(second)),
        ("a namespace", _namespaces(first), _namespaces(second)),
        ("a reference to a secret", _references(first.model_dump()), _references(second.model_dump())),
    ):
        for shared in sorted(one & other):
            text = f"it shares {what} with {second.name}"
            findings.append(Finding(first.name, "", None, text, shown((), shared), "one of its own"))
    return findings


def _hosts(environment: Environment) -> set[str]:
    every = {here.host for here in environment.applications.values()} | {environment.registry.prefix}
    for here in environment.applications.values():
        every |= {host for value in _texts(here.settings) if (host := _host_in(value))}
        if here.database is not None:
            every.add(here.database.host)
    return every


def _host_in(value: str) -> str | None:
    if "://" not in value:
        return None
    authority = value.split("://", 1)[1].split("/", 1)[0].rpartition("@")[2]
    return authority.split(":", 1)[0] or None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for below in value.values() if isinstance(value, dict) else value:
            yield from _texts(below)


def _databases(environment: Environment) -> set[str]:
    databases = (here.database for here in environment.applications.values())
    return {f"{one.host}:{one.port}/{one.name}" for one in databases if one is not None}


def _namespaces(environment: Environment) -> set[str]:
    return {environment.namespace_of(name) for name in environment.applications}


_KEPT_BY_AIRFLOW = ("ledger",)
"""References that may be the same everywhere: the ledger belongs to the Airflow that runs the release."""


def _references(value: Any, place: tuple[str, ...] = ()) -> set[str]:
    found: set[str] = set()
    if isinstance(value, dict):
        if set(value) == {"env", "connection", "file"}:
            if place and place[0] not in _KEPT_BY_AIRFLOW:
                found |= {f"{kind} {name}" for kind, name in value.items() if name is not None}
            return found
        for key, below in value.items():
            found |= _references(below, (*place, str(key)))
    return found
