"""The vulnerability gate: what could not be looked up is never clean, and a waiver is loud."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slipway.errors import BuildError, GateError
from slipway.images.probes import probe_for, recognised_in
from slipway.images.reports import (
    Database,
    Ecosystem,
    EcosystemKind,
    ScanReport,
    Severity,
    Vulnerability,
    read_config,
    read_database,
    read_scan,
)
from slipway.images.vulnerabilities import Evidence, Policy, judge, require
from slipway.images.waiver import Waiver
from slipway.names import EnvironmentKind, EventKind

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DEBIAN = Ecosystem(EcosystemKind.SYSTEM, "debian", "12.5")
PYTHON = Ecosystem(EcosystemKind.LANGUAGE, "python-pkg")
FRESH = Database(2, NOW - timedelta(hours=1))
REPORT = ScanReport({DEBIAN: 100, PYTHON: 40}, ())
CLEAN = Evidence(REPORT, FRESH, frozenset({DEBIAN, PYTHON}))
STAGING = Policy(EnvironmentKind.STAGING)
PRODUCTION = Policy(EnvironmentKind.PRODUCTION)
WAIVED = replace(STAGING, waiver=Waiver("no mirror of the database yet", date(2026, 12, 1)))


def finding(severity: Severity, fixed: str = "2.0", number: int = 1) -> Vulnerability:
    return Vulnerability(f"CVE-2026-{number:04}", severity, "openssl", "1.0", fixed, "a title")


def with_findings(*found: Vulnerability) -> Evidence:
    return replace(CLEAN, report=replace(REPORT, vulnerabilities=found))


def test_a_clean_image_passes_without_a_word() -> None:
    judgement = judge("backend", CLEAN, PRODUCTION, NOW)

    assert (judgement.passes, judgement.word, judgement.refusals, judgement.events) == (True, "clean", (), ())


@pytest.mark.parametrize("severity", list(Severity))
def test_high_and_critical_fail_and_nothing_less(severity: Severity) -> None:
    judgement = judge("backend", with_findings(finding(severity)), PRODUCTION, NOW)

    assert judgement.passes is (severity not in (Severity.HIGH, Severity.CRITICAL))


def test_names_what_it_found_worst_first() -> None:
    evidence = with_findings(finding(Severity.HIGH, number=1), finding(Severity.CRITICAL, fixed="", number=2))

    with pytest.raises(GateError) as caught:
        require("backend", judge("backend", evidence, PRODUCTION, NOW))

    assert str(caught.value) == (
        "the image backend does not pass the vulnerability gate\n"
        "  found  2 HIGH or CRITICAL: CVE-2026-0002 CRITICAL openssl 1.0 -> no fix yet, "
        "CVE-2026-0001 HIGH openssl 1.0 -> 2.0\n"
        "  do     raise the packages to their fixed versions, or give the scanner a fresh database: "
        "slipway images database --from MIRROR"
    )


def test_what_has_no_fix_is_tolerated_only_where_asked_and_never_in_silence() -> None:
    evidence = with_findings(finding(Severity.HIGH, fixed=""))

    assert not judge("backend", evidence, PRODUCTION, NOW).passes
    tolerant = judge("backend", evidence, replace(PRODUCTION, tolerate_unfixed=True), NOW)
    assert tolerant.passes
    assert [event.text for event in tolerant.events] == [
        "backend: tolerated, there is no fix yet: CVE-2026-0001 HIGH openssl 1.0 -> no fix yet"
    ]


@pytest.mark.parametrize(
    ("evidence", "refusal"),
    [
        (Evidence(failure="no metadata.json"), "no vulnerability database: no metadata.json"),
        (Evidence(), "no vulnerability database: none was named"),
        (replace(CLEAN, report=None, failure="trivy, exit code 1"), "the scan failed: trivy, exit code 1"),
        (replace(CLEAN, report=ScanReport({}, ())), "the scan found no package in the image, so it says nothing"),
        (
            replace(CLEAN, report=ScanReport({PYTHON: 3}, ())),
            "the scan recognised no operating system, so its packages were not looked up",
        ),
        (
            replace(CLEAN, recognised=frozenset({PYTHON})),
            "the vulnerability database knows nothing of debian 12.5, so its silence says nothing",
        ),
        (
            replace(CLEAN, database=Database(2, NOW - timedelta(days=3))),
            "the vulnerability database is 3.0 days old (of 2026-11-21 12:00 UTC), at most 2.0 days is admitted",
        ),
        (
            replace(CLEAN, database=Database(2, NOW + timedelta(hours=2))),
            "the vulnerability database is from the future (2026-11-24 14:00 UTC)",
        ),
        (replace(CLEAN, database=Database(1, FRESH.updated_at)), "the vulnerability database has schema 1, wanted 2"),
    ],
)
def test_fails_closed(evidence: Evidence, refusal: str) -> None:
    judgement = judge("backend", evidence, PRODUCTION, NOW)

    assert not judgement.passes
    assert judgement.refusals == (refusal,)


def test_a_database_may_be_exactly_as_old_as_admitted() -> None:
    assert judge("x", replace(CLEAN, database=Database(2, NOW - PRODUCTION.max_age)), PRODUCTION, NOW).passes


def test_a_waiver_lets_pass_and_says_each_thing_it_hides() -> None:
    judgement = judge("backend", Evidence(failure="no metadata.json"), WAIVED, NOW)

    assert judgement.passes
    assert judgement.word == "WAIVED until 2026-12-01"
    assert [(event.kind, event.text) for event in judgement.events] == [
        (
            EventKind.WAIVED,
            "backend: no vulnerability database: no metadata.json - WAIVED until 2026-12-01, "
            "because: no mirror of the database yet",
        )
    ]


def test_a_waiver_that_is_not_needed_asks_to_be_removed() -> None:
    judgement = judge("backend", CLEAN, WAIVED, NOW)

    assert judgement.word == "clean"
    assert [event.text for event in judgement.events] == [
        "backend: clean; the waiver until 2026-12-01 is not needed, remove it"
    ]


@pytest.mark.parametrize(
    ("environment", "waiver", "what"),
    [
        (EnvironmentKind.PRODUCTION, WAIVED.waiver, "production admits no waiver of {}"),
        (EnvironmentKind.STAGING, Waiver(" because ", date(2026, 12, 1)), "the waiver of {} gives no reason"),
        (EnvironmentKind.LOCAL, Waiver("a good reason", date(2026, 11, 23)), "the waiver of {} is over"),
        (EnvironmentKind.STAGING, Waiver("a good reason", date(2026, 12, 25)), "the waiver of {} is too long"),
    ],
)
@pytest.mark.parametrize("evidence", [CLEAN, Evidence()])
def test_a_waiver_that_must_not_be_there_is_refused_even_when_it_hides_nothing(
    environment: EnvironmentKind, waiver: Waiver, what: str, evidence: Evidence
) -> None:
    with pytest.raises(GateError) as caught:
        judge("backend", evidence, Policy(environment, waiver=waiver), NOW)

    assert caught.value.what == what.format("the vulnerability gate")


@pytest.mark.parametrize("days", [0, 30])
def test_a_waiver_holds_from_today_to_thirty_days_ahead(days: int) -> None:
    policy = replace(STAGING, waiver=Waiver("a good reason", NOW.date() + timedelta(days=days)))

    assert judge("backend", Evidence(), policy, NOW).passes


def test_a_local_environment_may_be_waived_for_longer() -> None:
    policy = Policy(EnvironmentKind.LOCAL, waiver=Waiver("a good reason", date(2027, 12, 31)))

    assert judge("backend", Evidence(), policy, NOW).word == "WAIVED until 2027-12-31"


def test_reads_a_report_and_takes_an_unknown_severity_for_the_worst() -> None:
    content = {
        "SchemaVersion": 2,
        "Metadata": {"OS": {"Family": "debian", "Name": "12.5"}},
        "Results": [
            {
                "Class": "os-pkgs",
                "Type": "debian",
                "Packages": [{}, {}],
                "Vulnerabilities": [{"VulnerabilityID": "CVE-1", "Severity": "APOCALYPTIC", "PkgName": "openssl"}],
            },
            {"Class": "secret", "Type": "text"},
        ],
    }

    report = read_scan(json.dumps(content))

    assert report.packages == {DEBIAN: 2}
    assert [one.severity for one in report.vulnerabilities] == [Severity.CRITICAL]
    assert recognised_in(REPORT, report) == frozenset({DEBIAN})


@given(st.text() | st.builds(json.dumps, st.recursive(st.none() | st.integers(), lambda inner: st.lists(inner))))
def test_rubbish_is_never_a_clean_report(content: str) -> None:
    for read in (read_scan, read_config, read_database):
        with pytest.raises(BuildError):
            read(content)


def test_asks_the_database_for_a_bad_old_package_of_each_ecosystem() -> None:
    document = json.loads(probe_for([DEBIAN, PYTHON]) or "")

    assert [one.get("purl", one["name"]) for one in document["components"]] == [
        "debian",
        "pkg:deb/debian/openssl@0.0.1?distro=debian-12.5",
        "pkg:pypi/urllib3@0.0.1",
    ]


def test_an_ecosystem_without_a_known_bad_package_stays_unknown() -> None:
    other = Ecosystem(EcosystemKind.LANGUAGE, "conan-pkg")
    evidence = replace(CLEAN, report=ScanReport({DEBIAN: 1, other: 1}, ()), recognised=frozenset({DEBIAN}))

    assert probe_for([other]) is None
    assert judge("backend", evidence, PRODUCTION, NOW).refusals == (
        "the vulnerability database knows nothing of conan-pkg, so its silence says nothing",
    )
