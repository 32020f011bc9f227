"""Tells people, once each, through the channels of the environment; a dead channel stops nothing."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from slipway.canary.latency import P95, quantile
from slipway.errors import LedgerError, SlipwayError
from slipway.flow import credentials, load
from slipway.names import AbortedBy, EventKind
from slipway.notifications import message as messages
from slipway.notifications.message import Comparison, ReleaseRef
from slipway.notifications.text import Unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from slipway.canary.evidence import Evidence
    from slipway.canary.judgement import Judgement
    from slipway.flow.site import Site
    from slipway.flow.step import Step
    from slipway.ledger.models import Release
    from slipway.ledger.store import Store
    from slipway.names import Rule
    from slipway.notifications.message import Message

log = logging.getLogger(__name__)


def started(site: Site, store: Store, release: Release, *, actor: str, summary: str, previous: str | None) -> None:
    """Say that a release has begun."""
    _send(site, store, messages.started(
        _ref(release), at=datetime.now(UTC), actor=actor, summary=summary, previous=previous,
        facts=_waivers(site), links=links(site, store, release),
    ))  # fmt: skip


def approval_wanted(site: Site, store: Store, release: Release, *, actor: str, approvers: Sequence[str]) -> None:
    """Ask for an approval."""
    until = datetime.now(UTC) + timedelta(seconds=site.environment.approval.timeout_s)
    _send(site, store, messages.approval_wanted(
        _ref(release), at=datetime.now(UTC), actor=actor, approvers=approvers, until=until,
        links=links(site, store, release),
    ))  # fmt: skip


def aborted(step: Step, judgement: Judgement, evidence: Evidence, *, by: AbortedBy) -> None:
    """Say that a canary was taken back, with the numbers that decided."""
    canary = evidence.canary.total
    _send(step.site, step.store, messages.aborted(
        _ref(step.release), at=datetime.now(UTC), reason="\n".join(judgement.reasons), aborted_by=by,
        rule=judgement.rule, stable=step.facts.base.version, comparisons=_comparisons(step, evidence),
        requests_served=round(canary.requests), requests_failed=round(canary.errors),
        exposure_s=round((evidence.now - evidence.start).total_seconds(), 1),
        links=links(step.site, step.store, step.release),
    ))  # fmt: skip


def stopped(
    site: Site, store: Store, release: Release, *, reason: str, by: AbortedBy, stable: str | None, actor: str = "",
    rule: Rule | None = None,
) -> None:  # fmt: skip
    """Say that a release goes back for a reason that no judge found: a failed step, a person, the watchdog."""
    _send(site, store, messages.aborted(
        _ref(release), at=datetime.now(UTC), reason=reason, aborted_by=by, rule=rule, stable=stable, actor=actor,
        links=links(site, store, release),
    ))  # fmt: skip


def promoted(step: Step, *, requests: int | None, errors: int | None) -> None:
    """Say that a release has all the traffic for good."""
    release = step.store.release(step.release.id)
    _send(step.site, step.store, messages.promoted(
        _ref(release), at=datetime.now(UTC), duration_s=(datetime.now(UTC) - release.created_at).total_seconds(),
        previous=step.facts.base.version, requests_served=requests, requests_failed=errors,
        facts=_waivers(step.site), links=links(step.site, step.store, release),
    ))  # fmt: skip


def rolled_back(
    site: Site, store: Store, release: Release, *, stable: str | None, duration_s: float, truths: Mapping[str, str],
    actor: str,
) -> None:  # fmt: skip
    """Say that the way back was proved."""
    _send(site, store, messages.rollback_finished(
        _ref(release), at=datetime.now(UTC), stable=stable, duration_s=duration_s, truths=dict(truths), actor=actor,
        links=links(site, store, release),
    ))  # fmt: skip


def rollback_failed(
    site: Site, store: Store, release: Release, *, stable: str | None, error: str, truths: Mapping[str, str], actor: str
) -> None:
    """Say that a person has to act now."""
    command = f"scripts/release/rollback.sh --namespace {site.namespace} --rollout {site.spec.workload.rollout}"
    _send(site, store, messages.rollback_failed(
        _ref(release), at=datetime.now(UTC), error=error, stable=stable, truths=dict(truths), command=command,
        actor=actor, links=links(site, store, release),
    ))  # fmt: skip


def links(site: Site, store: Store, release: Release) -> dict[str, str]:
    """Return where to read more: the run in Airflow, and what the release spec names.

    A ledger that is away costs a message its link and not its way.
    """
    found = dict(site.spec.links)
    try:
        events = store.events(release.id)
    except LedgerError as error:
        log.warning("the message has no link to its run: %s", error.found)
        return found
    for event in events:
        if event.kind is EventKind.PLANNED and event.payload.get("link"):
            found["Airflow"] = str(event.payload["link"])
    return found


def _waivers(site: Site) -> dict[str, str]:
    """Return what people have to know of what was not asked for."""
    waiver = load.waiver(site)
    return {"Waived": waiver} if waiver else {}


def _send(site: Site, store: Store, message: Message) -> None:
    from slipway.notifications.sending import Notifier, sender
    from slipway.notifications.settings import channel_from_connection

    senders = []
    for channel, reference in site.environment.notifications.channels().items():
        try:
            login = credentials.login(reference)
            settings = channel_from_connection(
                login.kind, host=login.host, port=login.port, login=login.user, password=login.password,
                schema=login.schema, extra=login.extra, conn_id=str(reference),
            )  # fmt: skip
            senders.append(sender(settings))
        except SlipwayError as error:
            log.error("%s: nobody is told there: %s", channel, error)  # noqa: TRY400 - its sentence is the whole story
    Notifier(senders, store).send(message)  # logs what became of it on each channel


def _ref(release: Release) -> ReleaseRef:
    return ReleaseRef(
        id=release.id, application=release.application, version=release.version, environment=release.environment
    )


def _comparisons(step: Step, evidence: Evidence) -> list[Comparison]:
    limits = step.site.environment.canary.limits
    canary, stable = evidence.canary, evidence.stable
    made = [
        Comparison(
            label="Error rate", unit=Unit.RATIO, canary=canary.total.rate, stable=stable.total.rate,
            limit=limits.max_error_rate,
        )
    ]  # fmt: skip
    if canary.latency is not None and stable.latency is not None:
        usual = quantile(stable.latency, P95)
        made.append(
            Comparison(
                label="P95", unit=Unit.SECONDS, canary=quantile(canary.latency, P95), stable=usual,
                limit=None if usual is None else usual * limits.max_latency_ratio,
            )
        )  # fmt: skip
    return made
