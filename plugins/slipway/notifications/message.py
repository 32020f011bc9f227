"""One message about a release, before any channel has seen it, and a builder for each occasion. Pure.

Every text is cleaned when the message is made: no control characters, no credentials, bounded lengths. Nothing is
refused for its wording: at the moment of a rollback, an alert with an odd character in it must still go out.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from slipway.names import AbortedBy, Occasion, Rule
from slipway.notifications.text import Unit, cut, line, number, paragraph, web_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MOST_FACTS = 20
MOST_COMPARISONS = 8
MOST_LINKS = 6
LONGEST_HEADLINE = 200


def _line(limit: int) -> BeforeValidator:
    return BeforeValidator(lambda value: line(value, limit))


def _paragraph(limit: int) -> BeforeValidator:
    return BeforeValidator(lambda value: paragraph(value, limit))


def _known_address(url: str) -> str:
    clean = web_address(url)
    if clean is None:
        raise ValueError("a link must be an http or https address")
    return clean


Headline = Annotated[str, _line(LONGEST_HEADLINE)]
Name = Annotated[str, _line(100)]
Value = Annotated[str, _line(300)]
Text = Annotated[str, _paragraph(1_500)]
Address = Annotated[str, Field(max_length=1_000), AfterValidator(_known_address)]

RULES = {
    Rule.ERROR_RATE: "too many errors",
    Rule.ERROR_RATE_VS_STABLE: "more errors than the stable version",
    Rule.LATENCY_P95: "slower than the stable version (P95)",
    Rule.GROSS_FAILURE: "failing almost at once",
    Rule.CANARY_UNAVAILABLE: "no canary pod is available",
    Rule.TAKEN_BACK: "taken back in the cluster, not by slipway's judge",
    Rule.POD_RESTARTS: "canary pods restart",
    Rule.TRAFFIC_SHARE: "the canary does not get the share of traffic it was given",
    Rule.FOLLOWER_TASKS: "background tasks fail on the new version",
    Rule.NOT_ENOUGH_DATA: "not enough requests to judge before the deadline",
    Rule.NO_METRICS: "no metrics before the deadline",
    Rule.SMOKE_TEST: "the smoke test failed",
}
"""The rules in words that need no manual."""

ABORTED_BY = {
    AbortedBy.SLIPWAY: "slipway, by itself",
    AbortedBy.DEAD_MAN_SWITCH: "the dead-man's switch in the cluster",
    AbortedBy.WATCHDOG: "slipway's watchdog, after the run had stopped",
    AbortedBy.PERSON: "a person",
    AbortedBy.ARGO: "somebody in the cluster, or Argo Rollouts itself",
}
"""Whose abort it was, in words."""

NEEDS_A_PERSON = frozenset({Occasion.APPROVAL_WANTED, Occasion.ROLLBACK_FAILED})
BAD_NEWS = frozenset({Occasion.ABORTED, Occasion.ROLLBACK_FAILED})


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReleaseRef(_Model):
    """The release that a message is about.

    :param id: the release id, the key of everything in the ledger.
    :param environment: its name, as people say it.
    """

    id: Name
    application: Name
    version: Name
    environment: Name


class Fact(_Model):
    """One line of a message.

    :param value: with its unit.
    """

    label: Name
    value: Value


class Comparison(_Model):
    """One measurement of the canary beside the stable version's of the same minutes.

    :param limit: what the canary may have at most; None where the rule has no number.
    """

    label: Name
    unit: Unit
    canary: float | None
    stable: float | None
    limit: float | None = None

    def cells(self) -> tuple[str, str, str, str]:
        """Return label, canary, stable and limit as a person reads them."""
        limit = "" if self.limit is None else number(self.limit, self.unit)
        return self.label, number(self.canary, self.unit), number(self.stable, self.unit), limit


class Link(_Model):
    """Where to read more; never with a user, a password or a token in it."""

    label: Name
    url: Address


class Message(_Model):
    """What is said about a release, once for each occasion and channel.

    :param at: when it happened.
    :param headline: the whole news in one line.
    :param reason: why, in a few lines.
    :param rule: which rule decided.
    :param comparisons: canary and stable numbers.
    :param requests_served: requests that the new version has answered or lost.
    :param requests_failed: how many of them failed.
    :param exposure_s: for how many seconds users could meet the new version.
    :param aborted_by: whose abort it was.
    :param actor: the person behind it, where there is one.
    :param next_step: what happens now by itself, and what the reader has to do.
    """

    occasion: Occasion
    release: ReleaseRef
    at: AwareDatetime
    headline: Headline
    reason: Text = ""
    rule: Rule | None = None
    comparisons: tuple[Comparison, ...] = Field(default=(), max_length=MOST_COMPARISONS)
    requests_served: int | None = Field(default=None, ge=0, le=10**15)
    requests_failed: int | None = Field(default=None, ge=0, le=10**15)
    exposure_s: float | None = Field(default=None, ge=0)
    aborted_by: AbortedBy | None = None
    actor: Annotated[str, _line(100)] = ""
    facts: tuple[Fact, ...] = Field(default=(), max_length=MOST_FACTS)
    links: tuple[Link, ...] = Field(default=(), max_length=MOST_LINKS)
    next_step: Text

    def rows(self) -> tuple[Fact, ...]:
        """Return everything that is a label and a value, the most important first."""
        return tuple(Fact(label=label, value=value) for label, value in self._known_rows() if value) + self.facts

    def _known_rows(self) -> Iterable[tuple[str, str]]:
        yield "Rule", f"{self.rule}: {RULES[self.rule]}" if self.rule else ""
        yield "Stopped by", ABORTED_BY[self.aborted_by] if self.aborted_by else ""
        yield "Requests to the new version", self._requests()
        yield "Exposure of users", "" if self.exposure_s is None else number(self.exposure_s, Unit.SECONDS)
        yield "By", self.actor
        yield "Release", self.release.id
        yield "Time", self.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

    def _requests(self) -> str:
        if self.requests_served is None:
            return ""
        served = number(self.requests_served, Unit.REQUESTS)
        return served if self.requests_failed is None else f"{served}, {self.requests_failed:,} of them failed"


def _links(links: Mapping[str, str] | None) -> tuple[Link, ...]:
    # An address that nobody can open is left out: a message with one link less still wakes the right person.
    known = ((label, web_address(url)) for label, url in (links or {}).items())
    return tuple(Link(label=label, url=url) for label, url in known if url and len(url) <= 1_000)[:MOST_LINKS]


def _facts(facts: Mapping[str, str | None] | None) -> tuple[Fact, ...]:
    known = (Fact(label=label, value=value) for label, value in (facts or {}).items() if value)
    return tuple(known)[:MOST_FACTS]


def started(
    release: ReleaseRef,
    *,
    at: datetime,
    actor: str = "",
    summary: str = "",
    previous: str | None = None,
    facts: Mapping[str, str | None] | None = None,
    links: Mapping[str, str] | None = None,
) -> Message:
    """Say that a release has begun.

    :param summary: what changes, in the words of whoever started it.
    :param previous: the version that serves users now; None for a first install.
    :param facts: what else has to be known, by label.
    """
    return Message(
        occasion=Occasion.STARTED,
        release=release,
        at=at,
        headline=f"{release.application} {release.version} is on its way to {release.environment}",
        reason=summary,
        actor=actor,
        facts=_facts({"Version now": previous or "none, this is the first install", **(facts or {})}),
        links=_links(links),
        next_step="Nothing to do. The next message comes when it is promoted, taken back or needs an approval.",
    )


def approval_wanted(
    release: ReleaseRef,
    *,
    at: datetime,
    actor: str = "",
    summary: str = "",
    approvers: Sequence[str] = (),
    until: datetime | None = None,
    links: Mapping[str, str] | None = None,
) -> Message:
    """Ask for the approval of a release.

    :param actor: who asked for the release.
    :param approvers: who may answer; empty when anybody may who has the right in Airflow.
    :param until: when the question is withdrawn.
    """
    deadline = "" if until is None else f" Without an answer by {_moment(until)} the release is cancelled."
    return Message(
        occasion=Occasion.APPROVAL_WANTED,
        release=release,
        at=at,
        headline=f"{release.application} {release.version} waits for an approval before {release.environment}",
        reason=summary,
        actor=actor,
        facts=_facts({"May approve": ", ".join(approvers)}),
        links=_links(links),
        next_step=f"Open the link and choose Approve or Reject. Nothing has been changed yet.{deadline}",
    )


def promoted(
    release: ReleaseRef,
    *,
    at: datetime,
    duration_s: float | None = None,
    previous: str | None = None,
    comparisons: Sequence[Comparison] = (),
    requests_served: int | None = None,
    requests_failed: int | None = None,
    facts: Mapping[str, str | None] | None = None,
    links: Mapping[str, str] | None = None,
) -> Message:
    """Say that the new version has all of the traffic for good.

    :param duration_s: seconds from the start of the release.
    :param previous: the version that it replaced; None for a first install.
    :param requests_served: requests of the canary, from 10 % to the promotion.
    """
    took = None if duration_s is None else number(duration_s, Unit.SECONDS)
    return Message(
        occasion=Occasion.PROMOTED,
        release=release,
        at=at,
        headline=f"{release.application} {release.version} has 100 % of {release.environment}",
        comparisons=tuple(comparisons)[:MOST_COMPARISONS],
        requests_served=requests_served,
        requests_failed=requests_failed,
        facts=_facts({"Time from the start": took, "Replaces": previous, **(facts or {})}),
        links=_links(links),
        next_step="Nothing to do. To go back from here, run the rollback DAG: it takes less than a minute.",
    )


def aborted(
    release: ReleaseRef,
    *,
    at: datetime,
    reason: str,
    aborted_by: AbortedBy,
    rule: Rule | None = None,
    stable: str | None = None,
    comparisons: Sequence[Comparison] = (),
    requests_served: int | None = None,
    requests_failed: int | None = None,
    exposure_s: float | None = None,
    actor: str = "",
    facts: Mapping[str, str | None] | None = None,
    links: Mapping[str, str] | None = None,
) -> Message:
    """Say that a release was stopped and its traffic ordered back.

    :param reason: what was found, with numbers; the first line stands in the headline.
    :param stable: the version that serves users now; None when there is none (first install).
    """
    short = line(RULES[rule] if rule else (reason.splitlines() or ["see below"])[0], 80)
    back = (
        f"Users are sent to {stable} again."
        if stable
        else "There is no version before it: the safe end is a paused rollout without pods."
    )
    return Message(
        occasion=Occasion.ABORTED,
        release=release,
        at=at,
        headline=f"{release.application} {release.version} was stopped in {release.environment}: {short}",
        reason=reason,
        rule=rule,
        comparisons=tuple(comparisons)[:MOST_COMPARISONS],
        requests_served=requests_served,
        requests_failed=requests_failed,
        exposure_s=exposure_s,
        aborted_by=aborted_by,
        actor=actor,
        facts=_facts(facts),
        links=_links(links),
        next_step=(
            f"{back} slipway now finishes the rollback and proves it; a second message says how it ended. "
            "If none has come after 5 minutes, follow the canary release runbook."
        ),
    )


def rollback_finished(
    release: ReleaseRef,
    *,
    at: datetime,
    stable: str | None = None,
    duration_s: float | None = None,
    truths: Mapping[str, str | None] | None = None,
    requests_served: int | None = None,
    requests_failed: int | None = None,
    exposure_s: float | None = None,
    actor: str = "",
    links: Mapping[str, str] | None = None,
) -> Message:
    """Say that a release is taken back completely, and what proves it.

    :param stable: the version that serves users; None after a first install that failed.
    :param duration_s: seconds from the decision to the last proof.
    :param truths: what was proved: traffic, Helm release, Rollout, schema.
    """
    where = f"is back on {stable}" if stable else f"{release.version} is off again"
    took = None if duration_s is None else number(duration_s, Unit.SECONDS)
    return Message(
        occasion=Occasion.ROLLBACK_FINISHED,
        release=release,
        at=at,
        headline=f"{release.application} {where} in {release.environment}, proved",
        requests_served=requests_served,
        requests_failed=requests_failed,
        exposure_s=exposure_s,
        actor=actor,
        facts=_facts({"Rolled back in": took, **(truths or {})}),
        links=_links(links),
        next_step=(
            f"Nothing to do tonight. The dossier has the numbers; mend {release.version} and release the mended "
            "state as a new version."
        ),
    )


def rollback_failed(
    release: ReleaseRef,
    *,
    at: datetime,
    error: str,
    stable: str | None = None,
    truths: Mapping[str, str | None] | None = None,
    command: str | None = None,
    actor: str = "",
    links: Mapping[str, str] | None = None,
) -> Message:
    """Say that a rollback did not end, and what a person has to do now.

    :param error: what failed.
    :param truths: what is proved and what is not: traffic, Helm release, Rollout, schema.
    :param command: the one command to run by hand.
    """
    target = stable or "the safe end (paused, no pods)"
    by_hand = f"Run: {cut(command, 500)}" if command else "Follow the canary release runbook."
    return Message(
        occasion=Occasion.ROLLBACK_FAILED,
        release=release,
        at=at,
        headline=f"ACT NOW: {release.application} in {release.environment} is not proved to be back on {target}",
        reason=error,
        actor=actor,
        facts=_facts(truths),
        links=_links(links),
        next_step=f"A person has to act now. {by_hand}\nThe watchdog tries again every minute until then.",
    )


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
