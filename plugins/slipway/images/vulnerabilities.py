"""Whether an image may go on, given what is known to be wrong with it. What could not be looked up is not clean."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from slipway.errors import GateError
from slipway.images.probes import unknown_to
from slipway.images.reports import Severity
from slipway.images.waiver import admit
from slipway.names import EventKind

if TYPE_CHECKING:
    from datetime import datetime

    from slipway.images.reports import Database, Ecosystem, ScanReport, Vulnerability
    from slipway.images.waiver import Waiver
    from slipway.names import EnvironmentKind

WHAT = "the vulnerability gate"
SCHEMA_VERSION = 2
SHOWN = 10
CLOCK_SKEW = timedelta(hours=1)


@dataclass(frozen=True)
class Policy:
    """What is held against a scan.

    :param environment: production admits no waiver.
    :param max_age: a database older than this says nothing about today.
    :param fail_on: severities that end the release.
    :param tolerate_unfixed: let through, loudly, what has no fix yet.
    :param waiver: what the environment says, if anything.
    """

    environment: EnvironmentKind
    max_age: timedelta = timedelta(days=2)
    fail_on: frozenset[Severity] = frozenset({Severity.HIGH, Severity.CRITICAL})
    tolerate_unfixed: bool = False
    waiver: Waiver | None = None


@dataclass(frozen=True)
class Evidence:
    """What is known about one image. What is None could not be had, and the failure says why.

    :param report: what the scan found.
    :param database: which database was asked.
    :param recognised: ecosystems of which the database knew a bad old package, see :mod:`slipway.images.probes`.
    :param failure: why something could not be had.
    """

    report: ScanReport | None = None
    database: Database | None = None
    recognised: frozenset[Ecosystem] = frozenset()
    failure: str | None = None


@dataclass(frozen=True)
class Event:
    """What goes into the log and the dossier."""

    kind: EventKind
    text: str


@dataclass(frozen=True)
class Judgement:
    """What the gate says of one image.

    :param refusals: why it would not go on; empty is a clean pass.
    :param events: what log and dossier must show.
    :param waiver: what lets it pass in spite of the refusals.
    """

    refusals: tuple[str, ...]
    events: tuple[Event, ...]
    waiver: Waiver | None = None

    @property
    def passes(self) -> bool:
        """Say whether the image goes on."""
        return not self.refusals or self.waiver is not None

    @property
    def word(self) -> str:
        """The judgement in a word, for a table."""
        if not self.refusals:
            return "clean"
        return f"WAIVED until {self.waiver.until}" if self.waiver else "refused"


def judge(image: str, evidence: Evidence, policy: Policy, now: datetime) -> Judgement:
    """Judge one image.

    :param image: its name.
    :param evidence: what was found, or why nothing was.
    :param policy: what is held against it.
    :param now: aware.
    :raises GateError: the waiver itself must not be there.
    """
    waiver = admit(policy.waiver, policy.environment, now.date(), WHAT)
    refusals = (*_database(evidence, policy, now), *_scan(evidence), *_findings(evidence, policy))
    events = [Event(EventKind.NOTED, f"{image}: {text}") for text in _tolerated(evidence, policy)]
    if waiver is not None and refusals:
        said = f"WAIVED until {waiver.until}, because: {waiver.reason}"
        events += [Event(EventKind.WAIVED, f"{image}: {refusal} - {said}") for refusal in refusals]
    elif waiver is not None:
        events.append(
            Event(EventKind.NOTED, f"{image}: clean; the waiver until {waiver.until} is not needed, remove it")
        )
    return Judgement(refusals, tuple(events), waiver if refusals else None)


def require(image: str, judgement: Judgement) -> None:
    """Let an image pass, or say all that stands against it.

    :raises GateError: it must not go on.
    """
    if not judgement.passes:
        raise GateError(
            f"the image {image} does not pass {WHAT}",
            found="; ".join(judgement.refusals),
            mend="raise the packages to their fixed versions, or give the scanner a fresh database: "
            "slipway images database --from MIRROR",
        )


def _database(evidence: Evidence, policy: Policy, now: datetime) -> list[str]:
    database = evidence.database
    if database is None:
        return [f"no vulnerability database: {evidence.failure or 'none was named'}"]
    found = []
    if database.version != SCHEMA_VERSION:
        found.append(f"the vulnerability database has schema {database.version}, wanted {SCHEMA_VERSION}")
    age = now - database.updated_at
    if age > policy.max_age:
        found.append(
            f"the vulnerability database is {_hours(age)} old (of {database.updated_at:%Y-%m-%d %H:%M} UTC), "
            f"at most {_hours(policy.max_age)} is admitted"
        )
    if age < -CLOCK_SKEW:
        found.append(f"the vulnerability database is from the future ({database.updated_at:%Y-%m-%d %H:%M} UTC)")
    return found


def _scan(evidence: Evidence) -> list[str]:
    if evidence.report is None:
        # Without a database there is no scan: one cause, one refusal.
        return [] if evidence.database is None else [f"the scan failed: {evidence.failure or 'no report'}"]
    if not evidence.report.ecosystems:
        return ["the scan found no package in the image, so it says nothing"]
    found = []
    if not evidence.report.has_system:
        found.append("the scan recognised no operating system, so its packages were not looked up")
    if blind := unknown_to(evidence.recognised, evidence.report.ecosystems):
        names = ", ".join(str(one) for one in blind)
        found.append(f"the vulnerability database knows nothing of {names}, so its silence says nothing")
    return found


def _findings(evidence: Evidence, policy: Policy) -> list[str]:
    bad = [one for one in _bad(evidence, policy) if one.fixed or not policy.tolerate_unfixed]
    if not bad:
        return []
    worst_first = sorted(bad, key=lambda one: (-list(Severity).index(one.severity), one.id, one.package))
    more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
    levels = " or ".join(level for level in Severity if level in policy.fail_on)
    return [f"{len(bad)} {levels}: " + ", ".join(str(one) for one in worst_first[:SHOWN]) + more]


def _tolerated(evidence: Evidence, policy: Policy) -> list[str]:
    if not policy.tolerate_unfixed:
        return []
    return [f"tolerated, there is no fix yet: {one}" for one in _bad(evidence, policy) if not one.fixed]


def _bad(evidence: Evidence, policy: Policy) -> list[Vulnerability]:
    if evidence.report is None:
        return []
    return [one for one in evidence.report.vulnerabilities if one.severity in policy.fail_on]


def _hours(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} hours"
