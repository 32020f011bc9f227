"""What the scanner said, as typed values: vulnerabilities and misconfigurations, and how much was looked at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from slipway.errors import BuildError


class Severity(StrEnum):
    """How bad a finding is, best to worst."""

    UNKNOWN = "UNKNOWN"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"


class EcosystemKind(StrEnum):
    """What kind of packages one result of a scan is about; as the scanner calls it."""

    SYSTEM = "os-pkgs"
    LANGUAGE = "lang-pkgs"


@dataclass(frozen=True, order=True)
class Ecosystem:
    """Packages of one kind: what a database must know something of.

    :param kind: the system's packages, or those of a language.
    :param name: the scanner's name: `debian`, `alpine`, `python-pkg`.
    :param release: the system's release, for example `12.5`; empty for a language.
    """

    kind: EcosystemKind
    name: str
    release: str = ""

    def __str__(self) -> str:
        """Return its name for a person."""
        return f"{self.name} {self.release}".strip()


@dataclass(frozen=True)
class Vulnerability:
    """One known vulnerability of one package.

    :param fixed: the first good version; empty when there is none yet.
    """

    id: str
    severity: Severity
    package: str
    installed: str
    fixed: str
    title: str

    def __str__(self) -> str:
        """Return it as half a line."""
        return f"{self.id} {self.severity} {self.package} {self.installed} -> {self.fixed or 'no fix yet'}"


@dataclass(frozen=True)
class ScanReport:
    """What a scan of one image found.

    :param packages: how many packages were looked up, by ecosystem.
    :param vulnerable: the ecosystems in which something was found.
    """

    packages: dict[Ecosystem, int]
    vulnerabilities: tuple[Vulnerability, ...]
    vulnerable: frozenset[Ecosystem] = frozenset()

    @property
    def ecosystems(self) -> tuple[Ecosystem, ...]:
        """The ecosystems with at least one package."""
        return tuple(sorted(one for one, count in self.packages.items() if count))

    @property
    def has_system(self) -> bool:
        """Say whether an operating system was recognised."""
        return any(one.kind is EcosystemKind.SYSTEM for one in self.ecosystems)

    def counts(self) -> dict[Severity, int]:
        """Return how many findings there are of each severity."""
        return {level: sum(one.severity is level for one in self.vulnerabilities) for level in Severity}


@dataclass(frozen=True)
class Database:
    """Which vulnerability database a scan used.

    :param version: of its schema.
    :param updated_at: when its content was gathered; aware.
    """

    version: int
    updated_at: datetime


@dataclass(frozen=True)
class Misconfiguration:
    """One finding in a Dockerfile, a chart or a manifest."""

    id: str
    severity: Severity
    target: str
    title: str
    message: str

    def __str__(self) -> str:
        """Return it as half a line."""
        return f"{self.id} {self.severity} {self.target}: {self.title}"


@dataclass(frozen=True)
class ConfigReport:
    """What a scan of configuration files found.

    :param files: how many files were recognised.
    :param checks_run: how many checks were held against them, files and checks multiplied.
    """

    files: int
    checks_run: int
    findings: tuple[Misconfiguration, ...]


def read_scan(content: str) -> ScanReport:
    """Read the scanner's report on an image.

    :param content: `trivy image --format json --list-all-pkgs`.
    :raises BuildError: it is not such a report.
    """
    data = _report(content)
    system = (data.get("Metadata") or {}).get("OS") or {}
    packages: dict[Ecosystem, int] = {}
    found: list[Vulnerability] = []
    vulnerable: set[Ecosystem] = set()
    for result in data.get("Results") or []:
        if result.get("Class") not in set(EcosystemKind):
            continue
        kind = EcosystemKind(result["Class"])
        release = str(system.get("Name", "")) if kind is EcosystemKind.SYSTEM else ""
        ecosystem = Ecosystem(kind, str(result.get("Type", "")), release)
        packages[ecosystem] = packages.get(ecosystem, 0) + len(result.get("Packages") or [])
        if result.get("Vulnerabilities"):
            vulnerable.add(ecosystem)
            found += [_vulnerability(one) for one in result["Vulnerabilities"]]
    return ScanReport(packages, tuple(found), frozenset(vulnerable))


def read_database(content: str) -> Database:
    """Read the database's metadata.

    :param content: metadata.json beside the database.
    :raises BuildError: it is not such a file.
    """
    try:
        data = json.loads(content)
        # The writer's times are in UTC; astimezone() would take one without a zone for local time.
        updated_at = datetime.fromisoformat(data["UpdatedAt"])
        aware = updated_at if updated_at.tzinfo else updated_at.replace(tzinfo=UTC)
        return Database(int(data["Version"]), aware)
    except (ValueError, KeyError, TypeError) as error:
        raise BuildError(
            "the metadata of the vulnerability database cannot be read",
            found=f"{type(error).__name__}: {error}",
            mend="download the database again",
        ) from error


def read_config(content: str) -> ConfigReport:
    """Read the scanner's report on configuration files.

    :param content: `trivy config --format json`.
    :raises BuildError: it is not such a report.
    """
    files = checks = 0
    found: list[Misconfiguration] = []
    for result in _report(content).get("Results") or []:
        summary = result.get("MisconfSummary")
        if not summary:
            continue
        files += 1
        checks += int(summary.get("Successes", 0)) + int(summary.get("Failures", 0))
        target = str(result.get("Target", ""))
        found += [_misconfiguration(one, target) for one in result.get("Misconfigurations") or []]
    return ConfigReport(files, checks, tuple(found))


def _vulnerability(data: dict[str, Any]) -> Vulnerability:
    return Vulnerability(
        id=str(data["VulnerabilityID"]),
        severity=_severity(data),
        package=str(data.get("PkgName", "")),
        installed=str(data.get("InstalledVersion", "")),
        fixed=str(data.get("FixedVersion", "")),
        title=str(data.get("Title", "")),
    )


def _misconfiguration(data: dict[str, Any], target: str) -> Misconfiguration:
    return Misconfiguration(
        id=str(data["ID"]),
        severity=_severity(data),
        target=target,
        title=str(data.get("Title", "")),
        message=str(data.get("Message", "")),
    )


def _severity(data: dict[str, Any]) -> Severity:
    value = str(data.get("Severity", ""))
    # A level this code does not know may be worse than any it does.
    return Severity(value) if value in set(Severity) else Severity.CRITICAL


def _report(content: str) -> dict[str, Any]:
    try:
        data = json.loads(content)
    except ValueError as error:
        raise BuildError(
            "the scanner's report is not JSON", found=str(error), mend="run the scanner by hand and read what it says"
        ) from error
    if not isinstance(data, dict) or "SchemaVersion" not in data:
        raise BuildError(
            "the scanner's report is not one that is known", found=content[:80], mend="use the pinned version of trivy"
        )
    return data
