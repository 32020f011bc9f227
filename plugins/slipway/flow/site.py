"""Where one application is released to: its specs, and a way to each system that they name."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.canary.plan import Plan
from slipway.canary.policy import Policy
from slipway.errors import RefusedError
from slipway.flow import credentials
from slipway.hooks.helm import Helm
from slipway.spec.catalog import Catalog
from slipway.spec.environment import frozen_environment
from slipway.spec.model import Reference
from slipway.spec.release import frozen_release
from slipway.spec.values import overlays

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightkube import Client

    from slipway.canary.plan import Stage
    from slipway.flow.facts import Facts
    from slipway.hooks.pods import Pods
    from slipway.hooks.prometheus import Prometheus
    from slipway.hooks.rollouts import Rollout
    from slipway.ledger.spool import Spool
    from slipway.ledger.store import Store
    from slipway.spec.environment import ApplicationHere, Environment
    from slipway.spec.release import ReleaseSpec

log = logging.getLogger("slipway")
LEDGER = "slipway_ledger"
"""Airflow connection of the ledger, for steps that know nothing but a release id."""
STATE_VARIABLE = "SLIPWAY_STATE"
"""Folder on a disk that outlives a task: spool of events, dossiers."""


@dataclass(frozen=True)
class Site:
    """One application in one environment.

    :param catalog: where the specs came from; its root is the project's folder.
    """

    catalog: Catalog
    spec: ReleaseSpec
    environment: Environment

    @classmethod
    def open(cls, application: str, environment: str, catalog: Catalog | None = None) -> Site:
        """Read and check the specs.

        :raises SpecError: with every finding.
        """
        catalog = catalog or Catalog()
        return cls(catalog, *catalog.checked(application, environment))

    @classmethod
    def of(cls, facts: Facts, catalog: Catalog | None = None) -> Site:
        """Open the site of a release that is under way, with the specs as they were when it began.

        What is edited meanwhile is for the next release: this one must find its way, and its way back, whatever
        happens to a file.

        :raises RefusedError: the ledger has no specs of it.
        """
        if facts.specs is None:
            raise RefusedError("the ledger does not have the specs of this release", mend="it was never planned")
        release, environment = facts.specs
        return cls(catalog or Catalog(), frozen_release(release), frozen_environment(environment))

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.catalog.root

    @property
    def here(self) -> ApplicationHere:
        """What the environment says of this application."""
        return self.environment.application(self.spec.application)

    @property
    def namespace(self) -> str:
        """Namespace of the application."""
        return self.environment.namespace_of(self.spec.application)

    @property
    def place(self) -> str:
        """Application and environment in words."""
        return f"{self.spec.application} in {self.environment.name}"

    @property
    def chart(self) -> Path:
        """Folder of the chart."""
        return self.root / self.spec.chart.path

    @property
    def overlays(self) -> list[Path]:
        """Values files between the chart's own and the last layer."""
        return overlays(self.spec, self.environment, self.root)

    @property
    def kubeconfig(self) -> str:
        """Path of the kubeconfig."""
        reference = self.environment.cluster.kubeconfig
        return credentials.path(reference) if reference is not None else os.environ.get("KUBECONFIG", "")

    @cached_property
    def plan(self) -> Plan:
        """How long each weight is held."""
        holds = {step.weight: step.hold_s for step in self.environment.canary.steps}
        return Plan.of(holds.get(10, 0.0), holds.get(50, 0.0), self.environment.canary.retain_s)

    def policy(self, stage: Stage) -> Policy:
        """Return the limits that hold at a stage."""
        canary = self.environment.canary
        step = next((step for step in canary.steps if step.weight == stage.weight), canary.steps[-1])
        return Policy.model_validate({**canary.limits_of(step), "requests_waived": canary.load.kind == "waived"})

    def helm(self) -> Helm:
        """Return Helm for the application's release."""
        return Helm(
            self.spec.chart.release_name, self.namespace, self.kubeconfig, self.environment.cluster.context,
            log=log.info, change_s=self.environment.helm.timeout_s, history=self.environment.helm.history_max,
        )  # fmt: skip

    @contextmanager
    def cluster(self) -> Iterator[Client]:
        """Give a client for the application's namespace."""
        from slipway.hooks.cluster import connected

        with connected(self.kubeconfig, self.environment.cluster.context, self.namespace) as client:
            yield client

    @contextmanager
    def rollout(self) -> Iterator[tuple[Rollout, Pods]]:
        """Give the workload's Rollout and its pods."""
        from slipway.hooks.pods import Pods
        from slipway.hooks.rollouts import Rollout

        with self.cluster() as client:
            yield Rollout(client, self.spec.workload.rollout), Pods(client)

    @contextmanager
    def prometheus(self) -> Iterator[Prometheus]:
        """Give the environment's Prometheus."""
        from slipway.hooks.prometheus import Prometheus
        from slipway.hooks.web import client

        url = self.environment.monitoring.prometheus_url
        with client(url, ca=self.environment.network.ca_file, address=self.address(url)) as web:
            reference = self.environment.monitoring.prometheus_credentials
            if reference is not None:
                web.headers["Authorization"] = f"Bearer {credentials.text(reference)}"
            yield Prometheus(web)

    def address(self, url: str) -> str | None:
        """Return the IP address under which a URL's host is reached here, None when DNS knows it."""
        host = url.split("://", 1)[1].split("/", 1)[0].split(":", 1)[0]
        return self.environment.network.addresses.get(host)

    def ledger(self) -> Store:
        """Return the ledger.

        :raises RefusedError: its address is not known.
        """
        return ledger(self.environment)


def ledger(environment: Environment | None = None) -> Store:
    """Return the ledger of an environment, or the one that this process' variables name."""
    from slipway.ledger.store import Store

    if environment is not None:
        return Store(credentials.login(environment.ledger).postgres_dsn)
    if os.environ.get("SLIPWAY_LEDGER_DSN"):
        return Store.from_environment()
    return Store(credentials.login(Reference(connection=LEDGER)).postgres_dsn)


def state_folder() -> Path:
    """Return the folder that outlives a task."""
    return Path(os.environ.get(STATE_VARIABLE) or Path.home() / ".local/state/slipway")


def spool() -> Spool:
    """Return the spool for events while the ledger is away."""
    from slipway.ledger.spool import Spool

    return Spool(state_folder() / "spool")
