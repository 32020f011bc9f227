"""Installs the Hive small-file platform on the testbed as a release does.

Images by digest, a database of its own, the chart at 0 pods, the migration, then the pods.
"""

from __future__ import annotations

import functools
import json
import secrets
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import yaml

from tests.e2e.cluster import (
    HOME,
    apply,
    environment_of_build,
    eventually,
    get,
    is_ready,
    kubectl,
    network,
    testbed,
    web,
)
from tests.e2e.warehouse import PORT as HDFS_PORT

ROOT = Path(__file__).parents[2]
CHART = ROOT / "include/charts/hive-platform"
RELEASE = "hive-platform"
SECRET = "hive-platform-secrets"  # noqa: S105 - its name
SELECTOR = {"app.kubernetes.io/instance": RELEASE}
COMPONENT = "app.kubernetes.io/component"
HASH = "rollouts-pod-template-hash"
PAUSES = (1, 3, 6, 8, 10)
"""Indices of the canary's holds: 0 pods, smoke test, 10 %, 50 %, 100 %."""
COMPONENTS = ("backend", "worker", "beat", "frontend")


class Image(NamedTuple):
    """An image in the testbed's registry."""

    repository: str
    digest: str


@dataclass(frozen=True)
class Images:
    """The two images of one version."""

    version: str
    backend: Image
    frontend: Image

    def values(self, *components: str) -> dict[str, Any]:
        """Return the chart's values that put this version into some components; into all without arguments."""
        return {
            name: {"image": image.repository, "digest": image.digest, "version": self.version}
            for name in components or COMPONENTS
            for image in [self.frontend if name == "frontend" else self.backend]
        }


@functools.cache
def build_images(version: str, *, error_rate: float = 0) -> Images:
    """Build and push both images of a version; once a session, and from the builder's cache what did not change.

    :param error_rate: share of the API's requests that fails on purpose.
    """
    fault = [f"--build-arg=FAULT_ERROR_RATE={error_rate:g}"] if error_rate else []
    return Images(version, _build("backend", version, *fault), _build("frontend", version))


def _build(part: str, version: str, *more: str) -> Image:
    folder = ROOT / "include/app" / part
    name = f"localhost/slipway-e2e/{part}:{version}"
    command = [
        "buildah", "bud", "--quiet", "--layers", "--format=docker", f"--build-arg=APP_VERSION={version}",
        *more, f"--file={folder / 'Dockerfile.prod'}", f"--tag={name}", str(folder),
    ]  # fmt: skip
    built = subprocess.run(
        command, env=environment_of_build(), check=False, capture_output=True, text=True, timeout=280
    )
    assert built.returncode == 0, built.stderr
    pushed = testbed("push", name)
    assert pushed.returncode == 0, pushed.stderr
    repository, _, digest = pushed.stdout.strip().partition("@")
    return Image(repository, digest)


@dataclass
class Application:
    """The platform in one namespace.

    :param redis: number of its database in the testbed's Redis.
    :param values: what the last `upgrade` gave to the chart, above values-local.yaml.
    """

    namespace: str
    redis: int
    password: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    values: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def database(self) -> str:
        """Name of its database and of the role that owns it."""
        return self.namespace.replace("-", "_")

    def settings(self, database: str = "") -> dict[str, Any]:
        """Return the settings that differ from values-local.yaml.

        :param database: another one than its own.
        """
        address = f"{self.database}@postgres.testbed.internal:5432/{database or self.database}"
        return {
            "database": {"database_url": f"postgresql+psycopg://{address}"},
            "celery": {"redis_url": f"redis://redis.testbed.internal:6379/{self.redis}"},
            "hive": {"storage_roots": [f"webhdfs://hive@hdfs:{HDFS_PORT}/warehouse"]},
        }

    # -- helm ----------------------------------------------------------------------------------------------------

    def helm(self, *arguments: str, check: bool = True, values: dict[str, Any] | None = None) -> str:
        """Run helm in the namespace, with values-local.yaml and what is given."""
        command = [str(HOME.bin / "helm"), f"--kubeconfig={HOME.kubeconfig}", f"--namespace={self.namespace}"]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as overlay:
            given = []
            if values is not None:
                yaml.safe_dump(values, overlay)
                overlay.flush()
                given = [f"--values={CHART / 'values-local.yaml'}", f"--values={overlay.name}"]
            done = subprocess.run(
                [*command, *arguments, *given], text=True, capture_output=True, timeout=180, check=False
            )
        assert done.returncode == 0 or not check, f"helm {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def upgrade(self, values: dict[str, Any], *more: str) -> None:
        """Install or upgrade, as slipway does: without waiting, and without a rollback of Helm's own."""
        self.helm("upgrade", "--install", RELEASE, str(CHART), *more, values=values)
        self.values = values

    @property
    def revision(self) -> int:
        """Return the number of Helm's present revision."""
        return int(json.loads(self.helm("history", RELEASE, "--output=json", "--max=1"))[0]["revision"])

    def rollback(self, revision: int, values: dict[str, Any]) -> None:
        """Put a revision back, and remember the values that it was made of."""
        self.helm("rollback", RELEASE, str(revision))
        self.values = values

    def render(self, values: dict[str, Any], *more: str) -> list[dict[str, Any]]:
        """Return the objects that the chart would make."""
        text = self.helm("template", RELEASE, str(CHART), *more, values=values)
        return [item for item in yaml.safe_load_all(text) if item]

    # -- kubernetes ----------------------------------------------------------------------------------------------

    def pods(self, component: str) -> list[dict[str, Any]]:
        """Return the pods of a component that are not on their way out."""
        found = get("pods", namespace=self.namespace, **SELECTOR, **{COMPONENT: component})["items"]
        return [item for item in found if "deletionTimestamp" not in item["metadata"]]

    def logs(self, component: str, since: str = "10m") -> list[dict[str, Any]]:
        """Return the lines that all pods of a component logged."""
        selector = ",".join(f"{key}={value}" for key, value in {**SELECTOR, COMPONENT: component}.items())
        text = kubectl(
            "logs", f"--namespace={self.namespace}", f"--selector={selector}", f"--since={since}", "--tail=-1"
        )
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def rollout(self, component: str = "backend") -> dict[str, Any]:
        """Return the Rollout with a status that belongs to its present spec, or one without status."""
        found = dict(get("rollout", f"{RELEASE}-{component}", namespace=self.namespace))
        if found.get("status", {}).get("observedGeneration") != str(found["metadata"]["generation"]):
            found["status"] = {}
        return found

    def holds_at(self, step: int, component: str = "backend") -> dict[str, Any]:
        """Wait until the Rollout pauses at a step, and return it."""

        def look() -> dict[str, Any] | None:
            found = self.rollout(component)
            status = found["status"]
            return found if status.get("phase") == "Paused" and status.get("currentStepIndex") == step else None

        return eventually(f"{component} pauses at step {step}", look, within_s=60)

    def patch_rollout(self, status: dict[str, Any], component: str = "backend") -> None:
        """Patch the status, as promote and abort do."""
        kubectl(
            "patch", "rollout", f"{RELEASE}-{component}", f"--namespace={self.namespace}", "--subresource=status",
            "--type=merge", f"--patch={json.dumps({'status': status})}",
        )  # fmt: skip

    def promote(self, component: str = "backend") -> None:
        """End the present pause."""
        self.patch_rollout({"pauseConditions": None}, component)

    def abort(self, component: str = "backend") -> None:
        """Take the canary back."""
        self.patch_rollout({"abort": True}, component)

    def is_in(self, phase: str, component: str = "backend") -> bool:
        """Say whether a Rollout is in a phase, and its controller has seen its present spec."""
        return bool(self.rollout(component)["status"].get("phase") == phase)

    def restart(self, component: str = "backend") -> None:
        """Have every pod of a Rollout replaced by one of the same version, as `kubectl argo rollouts restart` does."""
        patch = {"spec": {"restartAt": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}}
        kubectl(
            "patch", "rollout", f"{RELEASE}-{component}", f"--namespace={self.namespace}", "--type=merge",
            f"--patch={json.dumps(patch)}",
        )  # fmt: skip

    def drain(self, node: str) -> None:
        """Empty a node of the pods of this platform's Rollouts, as their budgets allow; the caller uncordons it.

        The selector keeps another installation's pods where they are: the labels are the same in every namespace, the
        hashes of the templates are not.
        """
        hashes = {pod["metadata"]["labels"][HASH] for name in ("backend", "worker") for pod in self.pods(name)}
        selector = f"--pod-selector={HASH} in ({','.join(sorted(hashes))})"
        kubectl("drain", node, selector, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=90s")

    def ready_since(self, component: str = "backend") -> dict[str, str]:
        """Return since when each pod of a component is Ready, by name; without those that are not or that leave."""
        return {
            pod["metadata"]["name"]: next(
                item["lastTransitionTime"] for item in pod["status"]["conditions"] if item["type"] == "Ready"
            )
            for pod in self.pods(component)
            if is_ready(pod)
        }

    def has_replaced(self, old: set[str], replicas: int, component: str = "backend") -> bool:
        """Say whether so many pods are Ready, and the old ones have ended."""
        everything = get("pods", namespace=self.namespace)["items"]
        is_gone = old.isdisjoint(pod["metadata"]["name"] for pod in everything)
        return is_gone and len(self.ready_since(component)) == replicas

    def scan(self, cluster: int) -> int:
        """Have a worker scan a cluster's tree, and return the task's id."""
        with web(self.namespace) as client:
            task = client.post("/api/v1/scan-tasks", json={"cluster_id": cluster}).json()["id"]

            def ended() -> str | None:
                now: dict[str, Any] = client.get(f"/api/v1/scan-tasks/{task}").json()
                return str(now["status"]) if now["status"] in {"success", "failed"} else None

            assert eventually("the scan's end", ended, within_s=30) == "success"
        return int(task)

    def add_cluster(self) -> int:
        """Add the generated warehouse, and return its id."""
        with web(self.namespace) as client:
            wanted = {"name": "generated", "root_url": f"webhdfs://hive@hdfs:{HDFS_PORT}/warehouse"}
            return int(client.post("/api/v1/clusters", json=wanted).json()["id"])

    def weights(self) -> dict[str, int]:
        """Return the weights of the route, by role."""
        route = get("traefikservice", f"{RELEASE}-backend", namespace=self.namespace)
        return {
            item["name"].rpartition("-")[2]: item.get("weight", 0) for item in route["spec"]["weighted"]["services"]
        }

    def wait_until_ready(self, within_s: float = 90) -> None:
        """Wait until every component has all its pods Ready and the page and the API answer over https."""
        eventually("every pod Ready", self._all_ready, within_s=within_s)
        eventually("the page over https", lambda: self.answers("/"), within_s=15)
        eventually("the API over https", lambda: self.answers("/api/v1/version"), within_s=15)

    def answers(self, path: str) -> bool:
        """Say whether a path answers 200 over https."""
        with web(self.namespace) as client:
            return client.get(path).status_code == 200

    def _all_ready(self) -> bool:
        kinds = {"backend": "rollout", "worker": "rollout", "beat": "deployment", "frontend": "deployment"}
        return all(self._is_complete(kind, component) for component, kind in kinds.items())

    def _is_complete(self, kind: str, component: str) -> bool:
        found = get(kind, f"{RELEASE}-{component}", namespace=self.namespace)
        wanted = found["spec"].get("replicas", 0)
        if component == "backend":
            # The autoscaler raises a new Rollout from 1 to its least.
            scaler = get("hpa", f"{RELEASE}-{component}", namespace=self.namespace)
            wanted = max(wanted, scaler["spec"]["minReplicas"])
        status = found.get("status", {})
        return bool(status.get("readyReplicas", 0) >= wanted > 0)

    # -- the database --------------------------------------------------------------------------------------------

    def migrate(self, values: dict[str, Any], within_s: float = 60) -> None:
        """Render the migration Job from the chart, apply it, and wait for its end."""
        more = ("--set=migration.enabled=true", "--show-only=templates/migration-job.yaml")
        job = self.render(values, *more)[0]
        apply(self.namespace, job)
        name = job["metadata"]["name"]

        def ended() -> dict[str, Any] | None:
            status = get("job", name, namespace=self.namespace).get("status", {})
            return dict(status) if status.get("succeeded") or status.get("failed") else None

        status = eventually(f"the end of {name}", ended, within_s=within_s)
        assert status.get("succeeded"), kubectl("logs", f"job/{name}", f"--namespace={self.namespace}")

    def create_database(self) -> None:
        """Make the role and the database, both empty, and an empty Redis database."""
        self.drop_database()
        with _postgres() as connection:
            connection.execute(f"CREATE ROLE {self.database} LOGIN PASSWORD '{self.password}'")
            connection.execute(f"CREATE DATABASE {self.database} OWNER {self.database}")

    def drop_database(self, *more: str) -> None:
        """Remove the databases and the role, whoever is still connected.

        :param more: suffixes of copies.
        """
        with _postgres() as connection:
            for suffix in (*more, ""):
                connection.execute(f"DROP DATABASE IF EXISTS {self.database}{suffix} WITH (FORCE)")
            connection.execute(f"DROP ROLE IF EXISTS {self.database}")
        with socket.create_connection((str(network().control), 6379), timeout=5) as broker:
            broker.sendall(f"SELECT {self.redis}\r\nFLUSHDB\r\nQUIT\r\n".encode())
            while broker.recv(1024):
                pass

    def fill_history(self, task: int, records: int) -> None:
        """Write the records of a past that was long: those of one scan again and again, as older scans left them."""
        columns = "cluster_id, database_name, table_name, partitions, total_files, small_files, total_bytes, scanned_at"
        with _postgres(self.database) as connection:
            # A history belongs to scans that are over, so that the pages show the newest one as before.
            past = connection.execute(
                "INSERT INTO scan_tasks (cluster_id, status, requested_at, finished_at) "
                "SELECT cluster_id, status, requested_at, finished_at FROM scan_tasks WHERE id = %s RETURNING id",
                (task,),
            ).fetchone()
            assert past is not None, f"scan task {task} is there"
            connection.execute(
                f"INSERT INTO scan_records (scan_task_id, {columns}) SELECT %s, {columns} FROM scan_records, "  # noqa: S608
                "generate_series(1, %s) WHERE scan_task_id = %s LIMIT %s",
                (past[0], records, task, records),
            )

    def ask(self, question: str) -> tuple[Any, ...]:
        """Return the only row of an answer of its database."""
        with _postgres(self.database) as connection:
            rows = connection.execute(question).fetchall()
        assert len(rows) == 1, f"{question}: {len(rows)} rows"
        return tuple(rows[0])

    def copy_database(self, suffix: str, statement: str) -> str:
        """Make a copy of the database as it is now, change it by one statement, and return its name."""
        name = self.database + suffix
        with _postgres() as connection:
            # A template must have no other user for the moment of the copy; the pods connect again by themselves.
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (self.database,)
            )
            connection.execute(f"CREATE DATABASE {name} OWNER {self.database} TEMPLATE {self.database}")
        with _postgres(name) as connection:
            connection.execute(statement)
        return name


def _postgres(database: str = "postgres") -> psycopg.Connection[Any]:
    address = f"host={network().control} user=postgres password=testbed dbname={database}"
    return psycopg.connect(address, autocommit=True)


def install(namespace: str, images: Images, *, redis: int, **values: Any) -> Application:
    """Install a version from nothing and wait until it is Ready: first install at 0 pods, migration, pods.

    :param namespace: exists already; its name is the host's, too: https://NAMESPACE.testbed.internal.
    :param redis: number of a Redis database that nobody else uses.
    :param values: of the chart, merged over those of the version; `settings` by group.
    """
    made = Application(namespace, redis)
    made.create_database()
    apply(namespace, _secret(made), *_hdfs(images.backend))
    eventually("the warehouse", lambda: _is_serving(namespace), within_s=60)
    wanted = merged(images.values(), {"ingress": {"host": f"{namespace}.testbed.internal"}}, values)
    wanted = merged({"settings": made.settings()}, wanted)
    begun = time.monotonic()
    made.upgrade(merged(wanted, {"firstInstall": True}))
    made.seconds["helm"] = time.monotonic() - begun
    assert not made.pods("backend"), "a first install has no API pod before its schema"
    made.migrate(wanted)
    made.seconds["migrated"] = time.monotonic() - begun
    made.upgrade(wanted)
    made.wait_until_ready()
    made.seconds["ready"] = time.monotonic() - begun
    return made


def merged(*layers: dict[str, Any]) -> dict[str, Any]:
    """Merge values as Helm does: maps by key, everything else replaced."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if both else value
    return result


def _secret(application: Application) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET},
        "stringData": {"APP_DATABASE_PASSWORD": application.password},
    }


def _hdfs(image: Image) -> tuple[dict[str, Any], ...]:
    """Write a pod with a WebHDFS server over a generated warehouse: the testbed has no storage to share."""
    labels = {"app": "hdfs"}
    container = {
        "name": "hdfs",
        "image": f"{image.repository}@{image.digest}",
        "command": ["python", "/srv/warehouse/warehouse.py", "/tmp"],  # noqa: S108 - of the container
        "ports": [{"name": "webhdfs", "containerPort": HDFS_PORT}],
        "readinessProbe": {
            "httpGet": {"path": "/webhdfs/v1/warehouse?op=LISTSTATUS", "port": "webhdfs"},
            "periodSeconds": 1,
        },
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "volumeMounts": [{"name": "server", "mountPath": "/srv/warehouse"}],
    }
    source = (Path(__file__).parent / "warehouse.py").read_text(encoding="utf-8")
    return (
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "hdfs"}, "data": {"warehouse.py": source}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "hdfs"},
            "spec": {"selector": labels, "ports": [{"port": HDFS_PORT, "targetPort": "webhdfs"}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "hdfs", "labels": labels},
            "spec": {
                "enableServiceLinks": False,
                "terminationGracePeriodSeconds": 0,
                "containers": [container],
                "volumes": [{"name": "server", "configMap": {"name": "hdfs"}}],
            },
        },
    )


def _is_serving(namespace: str) -> bool:
    pod = get("pod", "hdfs", namespace=namespace)
    return any(item["type"] == "Ready" and item["status"] == "True" for item in pod["status"].get("conditions", []))
