"""What an environment of the kind production refuses, whatever the application: in YAML, as the process does itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from slipway.names import EnvironmentKind
from slipway.spec.findings import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.spec.findings import Finding, Step
    from slipway.spec.reading import Document

_ORIGINS = re.compile(r"(^|_)(cors|origins?)(_|$)", re.IGNORECASE)
_MIN_RETAIN_S = 600


def refusals(kind: EnvironmentKind, document: Document) -> list[Finding]:
    """List what production does not admit; empty for other kinds."""
    if kind is not EnvironmentKind.PRODUCTION:
        return []
    return [*_environment(document), *_walk(document, (), document.value)]


def _environment(document: Document) -> Iterator[Finding]:
    """Look at what slipway itself defines."""
    value = document.value
    canary, scan = value["canary"], value.get("scan", {})
    if canary["load"]["kind"] == "waived":
        yield document.finding(
            ("canary", "load"), "production admits no waiver", found="waived", allowed="live or synthetic"
        )
    if scan.get("waived") is not None:
        yield document.finding(("scan", "waived"), "production admits no waiver", allowed="the scan itself")
    if not {"HIGH", "CRITICAL"} <= set(scan.get("severities", ("HIGH", "CRITICAL"))):
        yield document.finding(
            ("scan", "severities"), "production lets neither HIGH nor CRITICAL through",
            found=", ".join(scan["severities"]), allowed="HIGH and CRITICAL, and more",
        )  # fmt: skip
    if not value["approval"]["required"]:
        yield document.finding(
            ("approval", "required"), "in production a person has to agree", found="false", allowed="true"
        )
    if value["registry"].get("insecure"):
        yield document.finding(
            ("registry", "insecure"), "production pulls over https only", found="true", allowed="false"
        )
    if canary["retain_s"] < _MIN_RETAIN_S:
        yield document.finding(
            ("canary", "retain_s"), "too short a bake for production", found=str(canary["retain_s"]),
            allowed=f"{_MIN_RETAIN_S} or more; the runbook says 7200",
        )  # fmt: skip
    notifications = value.get("notifications") or {}
    if not any(notifications.values()):
        yield document.finding(
            ("notifications",), "nobody would be told", allowed="one or more of dingtalk, slack and email"
        )


def _walk(document: Document, path: tuple[Step, ...], value: Any) -> Iterator[Finding]:
    """Look at every value, the application's settings included, by its name and its form."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _walk(document, (*path, key), below)
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _walk(document, (*path, index), below)
    else:
        yield from _value(document, path, value)


def _value(document: Document, path: tuple[Step, ...], value: Any) -> Iterator[Finding]:
    name = next((str(step) for step in reversed(path) if isinstance(step, str)), "")
    if name.lower() in {"debug", "debug_mode"} and value is True:
        yield document.finding(path, "debug is refused in production", found="true", allowed="false")
    if not isinstance(value, str):
        return
    if name.lower() in {"log_level", "loglevel"} and value.lower() == "debug":
        yield document.finding(path, "too talkative for production", found=shown(path, value), allowed="INFO or less")
    if value.lower().startswith("sqlite"):
        yield document.finding(path, "SQLite is refused in production", found="sqlite", allowed="PostgreSQL")
    if _ORIGINS.search(name) and ("*" in value or not value.startswith("https://")):
        yield document.finding(
            path, "wildcard or unencrypted origin in production", found=shown(path, value), allowed="https://HOST"
        )
    elif name == "url" and value.startswith("http://"):
        yield document.finding(path, "users reach production over https", found=_bare(value), allowed="https://HOST")


def _bare(url: str) -> str:
    """Return an address that says no more than its host."""
    return "http://" + url.removeprefix("http://").split("/", 1)[0]
