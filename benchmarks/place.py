"""The platform in a namespace, and releases of it that slipway's own functions carry, without an Airflow."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import yaml
from slipway.canary.plan import Stage, pause_index
from slipway.flow import canary, configure, deploy, rollback, watchdog
from slipway.flow.facts import facts_of
from slipway.flow.site import Site
from slipway.flow.step import Step
from slipway.hooks.rollouts import walk
from slipway.names import EventKind, ReleaseState
from slipway.spec.catalog import Catalog
from slipway.spec.parameters import ReleaseParameters
from slipway.spec.values import image_refs, values_for

from benchmarks.call import Failed
from tests.e2e.application import RELEASE, Application, Image, Images, build_images, install
from tests.e2e.cluster import HOME, apply, eventually, kubectl, network, query, testbed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.hooks.rollouts import Rollout
    from slipway.ledger.store import Store

ROOT = Path(__file__).parent.parent
APPLICATION, ENVIRONMENT = "hive-platform", "bench"
SERVES, FAILS, HEALTHY = "1.9.0", "1.9.1", "1.9.2"
"""The version that serves, one that fails a share of its requests, and a good one."""
ERROR_RATE = 0.2
STEP_S = 600.0
RUN = "bench"
NO_NOISE = "slipway-bench"


@dataclass(frozen=True)
class Pace:
    """How often pods are read.

    :param name: of the namespace.
    :param scrape_s: all pods, in seconds.
    :param canary_s: a canary's, 0 for the same.
    """

    name: str
    redis: int
    scrape_s: int
    canary_s: int

    @property
    def monitoring(self) -> dict[str, Any]:
        """The chart's values for it."""
        canary_s = f"{self.canary_s}s" if self.canary_s else ""
        return {"scrapeInterval": f"{self.scrape_s}s", "canaryScrapeInterval": canary_s}


@dataclass
class Release:
    """One release under way.

    :param id: in the ledger.
    :param hash: pod-template hash of its version.
    """

    place: Place
    id: str
    hash: str

    @property
    def step(self) -> Step:
        """A step of it, as a task of the DAG opens one."""
        return Step.open(self.id, within_s=STEP_S)

    def raise_weight(self, stage: Stage) -> None:
        """Go on to a stage and do not watch it."""
        canary.raise_weight(self.step, stage)

    def promote(self) -> None:
        """Go through all stages, without watching them."""
        for stage in (Stage.WEIGHT_10, Stage.WEIGHT_50, Stage.WEIGHT_100):
            self.raise_weight(stage)
        canary.promote(self.step)

    def take_back(self, reason: str) -> float:
        """Take it back, and return how long that took, four truths included."""
        started = time.monotonic()
        rollback.take_back(self.id, self.place.store, actor=NO_NOISE, reason=reason)
        return time.monotonic() - started


@dataclass
class Place:
    """The platform in one namespace; `prepared` makes one."""

    pace: Pace
    root: Path
    application: Application
    images: dict[str, Images]
    site: Site
    environ: dict[str, str]
    runs: int = field(default=0)

    @property
    def namespace(self) -> str:
        """Its namespace, which is the name of its host, too."""
        return self.pace.name

    @property
    def store(self) -> Store:
        """Its ledger."""
        return self.site.ledger()

    @contextmanager
    def rollout(self) -> Iterator[Rollout]:
        """Give the API's Rollout."""
        with self.site.rollout() as (rollout, _):
            yield rollout

    def begin(self, version: str) -> Release:
        """Carry a release to its first pods, which are tested and have no traffic.

        What is left out is what no user waits for: build, migration, approval.
        """
        os.environ.update(self.environ)
        self.runs += 1
        run = f"{RUN}-{self.runs}-{time.time_ns()}"
        asked = ReleaseParameters(application=APPLICATION, version=version, environment=ENVIRONMENT)
        self.store.beat(watchdog.NAME)  # there is none here; whoever measures is at hand
        planned = configure.plan(self.site, asked, run, actor=NO_NOISE)
        store = self.store
        release = configure.acquire(self.site, planned.id, run)
        for name, image in (("backend", self.images[version].backend), ("frontend", self.images[SERVES].frontend)):
            store.append(
                release.id, EventKind.IMAGE_BUILT, {"image": name, "digest": image.digest}, key=f"image:{name}"
            )
        store.advance(release.id, release.epoch, ReleaseState.BUILT)
        hash_ = deploy.upgrade(Step.open(release.id))
        for state in (ReleaseState.MIGRATED, ReleaseState.MONITORED):
            store.advance(release.id, release.epoch, state)
        made = Release(self, release.id, hash_)
        canary.start_pods(made.step)
        return made

    def is_seen(self, hash_: str) -> bool:
        """Say whether Prometheus has a sample of a version."""
        return bool(query(f'http_requests_total{{namespace="{self.namespace}", rollouts_pod_template_hash="{hash_}"}}'))

    def serve(self, release: Release) -> None:
        """Go from no traffic to 10 % as a release does, for whoever else judges the canary."""
        with self.rollout() as rollout:
            rollout.promote(pause_index(Stage.SMOKE), release.hash)


@contextmanager
def prepared(*paces: Pace, versions: tuple[str, ...]) -> Iterator[list[Place]]:
    """Install the platform in namespaces of its own, beside one another, with a ledger for all; remove everything."""
    images = {version: _pushed(version) for version in versions}
    with ExitStack() as stack:
        yield [stack.enter_context(_installed(pace, images)) for pace in paces]


def _pushed(version: str) -> Images:
    """Build a version, and push it to where a release looks for it."""
    built = build_images(version, error_rate=ERROR_RATE if version == FAILS else 0)
    found = []
    for part in ("backend", "frontend"):
        name = f"localhost/{APPLICATION}/{part}:{version}"
        subprocess.run(["buildah", "tag", f"localhost/slipway-e2e/{part}:{version}", name], check=True, timeout=60)
        pushed = testbed("push", name)
        if pushed.returncode:
            raise Failed(f"push of {name}: {pushed.stderr}")
        found.append(Image(*pushed.stdout.strip().split("@")))
    return replace(built, backend=found[0], frontend=found[1])


@contextmanager
def _installed(pace: Pace, images: dict[str, Images]) -> Iterator[Place]:
    ledger = f"{pace.name}_ledger".replace("-", "_")
    dsn = f"postgresql://postgres:testbed@{network().control}:5432/{ledger}"
    environ = {
        "SLIPWAY_LEDGER_DSN": dsn, "AIRFLOW_CONN_SLIPWAY_LEDGER": dsn,
        "PATH": f"{HOME.bin}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    kubectl("delete", "namespace", pace.name, "--ignore-not-found", "--wait=true")
    kubectl("create", "namespace", pace.name)
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.callback(kubectl, "delete", "namespace", pace.name, "--wait=false")
        stack.callback(_databases, f'DROP DATABASE IF EXISTS "{ledger}" WITH (FORCE)')
        _databases(f'DROP DATABASE IF EXISTS "{ledger}" WITH (FORCE)', f'CREATE DATABASE "{ledger}"')
        more = {"monitoring": pace.monitoring, "deadManSwitch": {"enabled": False}}
        application = install(
            pace.name, images[SERVES], redis=pace.redis, backend={"autoscaling": {"maxReplicas": 3}}, **more
        )
        stack.callback(application.drop_database)
        stack.callback(application.helm, "uninstall", RELEASE, check=False)
        _project(root, pace, application, more)
        environ |= {"SLIPWAY_HOME": str(root), "SLIPWAY_STATE": str(root / "state")}
        os.environ.update(environ)
        site = Site.open(APPLICATION, ENVIRONMENT, Catalog(root))
        site.ledger().ensure()
        place = Place(pace, root, application, images, site, environ)
        _hand_over(place)
        yield place


def _project(root: Path, pace: Pace, application: Application, values: dict[str, Any]) -> None:
    """Write a project of slipway: the platform's own specs, and an environment for this namespace."""
    (root / "include/config").mkdir(parents=True)
    for name in ("app", "charts", "releases"):
        (root / "include" / name).symlink_to(ROOT / "include" / name)
    wanted = yaml.safe_load((ROOT / "include/config/local.yaml").read_text(encoding="utf-8"))
    del wanted["notifications"]
    wanted["name"] = ENVIRONMENT
    wanted["cluster"]["namespace"] = pace.name
    wanted["monitoring"]["scrape_interval_s"] = pace.scrape_s
    here = wanted["applications"][APPLICATION]
    here["url"] = f"https://{pace.name}.testbed.internal"
    here["values"] = [*here["values"], "include/config/pace.values"]
    here["settings"] = {**here["settings"], **application.settings()}
    (root / "include/config/pace.values").write_text(yaml.safe_dump(values), encoding="utf-8")
    (root / f"include/config/{ENVIRONMENT}.yaml").write_text(yaml.safe_dump(wanted), encoding="utf-8")


def _hand_over(place: Place) -> None:
    """Install once more by slipway's Helm, so that what a release changes is its own version and nothing else."""
    site, images = place.site, place.images[SERVES]
    digests = {"backend": images.backend.digest, "frontend": images.frontend.digest}
    layer = values_for(site.spec, site.environment, image_refs(site.spec, site.environment, digests, SERVES))
    site.helm().upgrade(site.chart, site.overlays, layer, "bench")
    with place.rollout() as rollout:
        state = rollout.wait("told of it", lambda seen: seen.fresh, within_s=20)
        walk(rollout, state.current_hash, within_s=120, log=str)
        hash_ = rollout.state().stable_hash
    place.application.wait_until_ready()
    # A reloader that misses the change of its file looks again by itself only after three minutes.
    eventually("the API in Prometheus", lambda: place.is_seen(hash_), within_s=200, every_s=1)


def _databases(*statements: str) -> None:
    dsn = f"postgresql://postgres:testbed@{network().control}:5432/postgres"
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def base_of(release: Release) -> str:
    """Return the hash that a release goes back to."""
    return facts_of(release.place.store.events(release.id)).base.hash


def peer(namespace: str) -> None:
    """Put the analysis of Argo Rollouts into a namespace: errors above 5 % within 30 s, asked every 5 s."""
    series = f'http_requests_total{{namespace="{namespace}", rollouts_pod_template_hash="{{{{args.canary-hash}}}}"'
    metric = {
        "name": "errors",
        "interval": "5s",
        "failureCondition": "len(result) > 0 && result[0] > 0.05",
        "failureLimit": 0,
        "provider": {
            "prometheus": {
                "address": "http://prometheus-operated.monitoring.svc:9090",
                "query": f'(sum(rate({series}, status=~"5.."}}[30s])) or vector(0)) / sum(rate({series}}}[30s]))',
            }
        },
    }
    apply(namespace, {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "peer"},
        "spec": {"args": [{"name": "canary-hash"}], "metrics": [metric]},
    })  # fmt: skip


def judged_by_argo(namespace: str, *, judged: bool) -> None:
    """Have Argo's background analysis run from the first request to a canary on, or have it not."""
    arguments = [{"name": "canary-hash", "valueFrom": {"podTemplateHashValue": "Latest"}}]
    analysis = {"startingStep": 4, "templates": [{"templateName": "peer"}], "args": arguments} if judged else None
    patch = yaml.safe_dump({"spec": {"strategy": {"canary": {"analysis": analysis}}}})
    kubectl(
        "patch", "rollout", f"{RELEASE}-backend", f"--namespace={namespace}", "--type=merge", f"--patch={patch}"
    )  # fmt: skip
