from __future__ import annotations

import pytest
from pydantic import ValidationError
from slipway.names import AbortedBy, Occasion, Rule
from slipway.notifications.message import ABORTED_BY, RULES, Link, aborted, rollback_failed, rollback_finished, started

from tests.unit.slipway.notifications.samples import AT, RELEASE, bad_canary, one_of_each


def test_there_is_a_message_for_each_occasion() -> None:
    assert {message.occasion for message in one_of_each()} == set(Occasion)


def test_every_rule_and_every_actor_has_words() -> None:
    assert set(RULES) == set(Rule)
    assert set(ABORTED_BY) == set(AbortedBy)


def test_an_abort_says_what_a_person_asks_at_night() -> None:
    message = bad_canary()
    assert message.headline == "hive-platform 1.0.1 was stopped in production: too many errors"
    assert {fact.label: fact.value for fact in message.rows()} == {
        "Rule": "ERROR_RATE: too many errors",
        "Stopped by": "slipway, by itself",
        "Requests to the new version": "1,204 requests, 95 of them failed",
        "Exposure of users": "42.3 s",
        "Release": "hive-platform-1.0.1-r7",
        "Time": "2026-11-24 03:12:07 UTC",
        "Traffic weight": "10 %",
    }
    assert message.next_step == (
        "Users are sent to 1.0.0 again. slipway now finishes the rollback and proves it; a second message says how it "
        "ended. If none has come after 5 minutes, follow the canary release runbook."
    )


def test_an_abort_of_a_first_install_promises_no_version_that_was_never_there() -> None:
    message = aborted(RELEASE, at=AT, reason="the pod never became ready", aborted_by=AbortedBy.SLIPWAY)
    assert message.headline == "hive-platform 1.0.1 was stopped in production: the pod never became ready"
    assert message.next_step.startswith("There is no version before it: the safe end is a paused rollout without pods.")


def test_a_failed_rollback_asks_for_a_person_and_names_the_command() -> None:
    message = rollback_failed(RELEASE, at=AT, error="helm: timed out", stable="1.0.0", command="rollback.sh production")
    assert message.headline == "ACT NOW: hive-platform in production is not proved to be back on 1.0.0"
    assert message.next_step == (
        "A person has to act now. Run: rollback.sh production\nThe watchdog tries again every minute until then."
    )


def test_a_finished_rollback_shows_its_proofs() -> None:
    message = rollback_finished(RELEASE, at=AT, stable="1.0.0", duration_s=17.2, truths={"Helm": "revision 3"})
    assert message.headline == "hive-platform is back on 1.0.0 in production, proved"
    assert [(fact.label, fact.value) for fact in message.facts] == [
        ("Rolled back in", "17.2 s"),
        ("Helm", "revision 3"),
    ]


def test_foreign_text_neither_breaks_lines_nor_carries_credentials() -> None:
    message = rollback_failed(RELEASE, at=AT, error="cannot reach\r\npostgresql://hive:hunter2@db/x\x1b[31m")
    assert message.reason == "cannot reach\npostgresql://***@db/x [31m"


def test_a_link_that_nobody_can_open_does_not_stop_the_message() -> None:
    message = started(RELEASE, at=AT, links={"Run": "https://airflow.example.com", "Bad": "javascript:alert(1)"})
    assert [link.label for link in message.links] == ["Run"]
    with pytest.raises(ValidationError, match="a link must be an http or https address"):
        Link(label="Bad", url="javascript:alert(1)")


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="should have timezone info"):
        started(RELEASE, at=AT.replace(tzinfo=None))
