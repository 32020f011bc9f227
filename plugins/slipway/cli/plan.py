"""`slipway plan APP VERSION`: what a release would do, what its canary could see, and whether it could begin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from slipway.errors import MetricsError, RefusedError, SlipwayError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.canary.power import Load, PlanFinding, StepPower
    from slipway.flow.site import Site

app = typer.Typer(help="What a release would do.")
LOOK_BACK_S = 300.0
"""The load of the last minutes stands for that of the canary's."""


@app.command()
def plan(
    application: Annotated[str, typer.Argument(metavar="APP", help="A file of include/releases.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="For example 1.0.0.")],
    env: Annotated[str, typer.Option(metavar="NAME", help="A file of include/config.")],
) -> None:
    """Say what a release would do; nothing is touched.

    The phases, what the canary can see under the load of the last 5 minutes, and what stands against it. Exit
    code 4: a precondition does not hold; each is listed.
    """
    from slipway.flow import configure
    from slipway.flow.site import Site
    from slipway.spec.parameters import ReleaseParameters, parse_parameters

    asked = parse_parameters(
        ReleaseParameters, {"application": application, "version": version, "environment": env}
    )  # fmt: skip
    site = Site.open(asked.application, asked.environment)
    typer.echo(f"{asked.application} {asked.version} to {asked.environment}")
    for line in (*configure.describe(site, asked), *_sight(site)):
        typer.echo(line)
    configure.check(asked, watchdog_within_s=0)
    typer.echo("ready       specs, chart, cluster, secrets and ledger are in order")


def _sight(site: Site) -> Iterator[str]:
    """Yield what the canary can see, or why that is not known; a plan is printed all the same."""
    try:
        load = _load(site)
    except SlipwayError as error:
        yield f"sight       not known: {error.what}" + (f": {error.found}" if error.found else "")
        return
    if load is None:
        yield "sight       the canary is judged by its pods alone: its load is waived"
        return
    yield f"expected    {load.requests_per_s:.3g} requests/s, {load.error_rate:.2%} of them fail"
    for power in _powers(site, load):
        yield _row(power)
    for finding in _findings(site, load):
        where = f"{finding.stage}: " if finding.stage else ""
        yield f"{finding.severity:<11} {where}{finding.what}; {finding.mend}"


def _load(site: Site) -> Load | None:
    """Return the load that the canary will meet, None when it is waived.

    How much slipway sends itself is known also of a version that no user has asked for anything yet.

    :raises RefusedError: nothing is installed whose load could be measured.
    :raises MetricsError: Prometheus is silent.
    """
    from slipway.canary.evidence import Source
    from slipway.canary.policy import Policy
    from slipway.canary.power import Load
    from slipway.hooks.evidence import Collector, Window
    from slipway.spec.environment import SyntheticLoad, WaivedLoad

    asked = site.environment.canary.load
    if isinstance(asked, WaivedLoad):
        return None
    now = datetime.now(UTC)
    with site.rollout() as (rollout, pods), site.prometheus() as prometheus:
        found = rollout.object()
        stable = rollout.state().stable_hash if found is not None else ""
        if not stable:
            raise RefusedError("this is the first install", found="no version serves whose load could be measured")
        # The collector reads any version; here the stable one stands where a canary would.
        window = Window(now - timedelta(seconds=LOOK_BACK_S), 0, 0, canary=stable, stable="")
        observed = Collector(prometheus, site.spec.workload, rollout, pods, window, Policy(restart_s=0)).look(now)
    if Source.METRICS not in observed.answered:
        raise MetricsError("Prometheus does not answer", found=site.environment.monitoring.prometheus_url)
    if observed.sample_age_s is None:
        if isinstance(asked, SyntheticLoad):
            return Load(requests_per_s=asked.requests_per_s)
        raise MetricsError("Prometheus does not see the stable version", found=f"no series of {stable}")
    counts = observed.canary.counts
    rate = asked.requests_per_s if isinstance(asked, SyntheticLoad) else counts.requests / LOOK_BACK_S
    return Load(
        requests_per_s=rate, error_rate=min(counts.rate or 0.0, 0.99),
        latency=observed.canary.latency if observed.canary.latency and observed.canary.latency.count else None,
    )  # fmt: skip


def _powers(site: Site, load: Load) -> Iterator[StepPower]:
    from slipway.canary.power import power_of

    for step in site.plan.steps:
        yield power_of(step, load, site.policy(step.stage))


def _findings(site: Site, load: Load) -> list[PlanFinding]:
    """Return what is wrong with the plan; each stage has limits of its own, the whole those of its last one."""
    from slipway.canary.power import check

    last = site.plan.steps[-1].stage
    found = []
    for step in site.plan.steps:
        _, findings = check(site.plan, load, site.policy(step.stage))
        found += [one for one in findings if one.stage is step.stage or (one.stage is None and step.stage is last)]
    return sorted(found, key=lambda one: one.severity)


def _row(power: StepPower) -> str:
    from slipway.canary.wording import number, percent, seconds

    latency = "unknown" if power.latency_s is None else seconds(power.latency_s)
    return (
        f"  {power.weight:>3} %     {number(power.canary_requests)} requests to the canary in {seconds(power.hold_s)}; "
        f"{percent(power.error_rate)} errors are found in {seconds(power.errors_s)}, "
        f"{power.latency_ratio:.2g} x the P95 in {latency}"
    )
