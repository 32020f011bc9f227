"""The real processes: API, worker and beat, on a real PostgreSQL and Redis."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import httpx
import pytest
import redis
from sqlalchemy import text

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Platform

from waiting import free_port, wait_until


class Api:
    def __init__(self, platform: Platform, version: str = "1.0.0", **changed: str) -> None:
        self.port = free_port()
        changed = {"APP_PORT": str(self.port), "APP_VERSION": version, "APP_HOST": "127.0.0.1", **changed}
        self.process = platform.start("app.api", log=f"api-{self.port}", **changed)
        self.log = f"api-{self.port}"
        self.client = platform.closing.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10))
        wait_until(self.is_alive, 20, "the API to answer")

    def is_alive(self) -> bool:
        try:
            return self.client.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def post(self, path: str, **body: object) -> httpx.Response:
        return self.client.post(f"/api/v1/{path}", json=body)

    def problems(self) -> list[str]:
        time.sleep(1.1)  # looks are remembered for a second
        found: list[str] = self.get("/ready").json()["problems"]
        return found


class Worker:
    def __init__(self, platform: Platform, version: str = "1.0.0", **changed: str) -> None:
        self.port = free_port()
        self.name = f"worker-{self.port}"
        settings = {"APP_METRICS_PORT": str(self.port), "APP_VERSION": version, "APP_WORKER_CONCURRENCY": "1"}
        self.process = platform.start("app.worker", log=self.name, **{**settings, **changed})
        self.client = platform.closing.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10))
        wait_until(self.is_ready, 30, "the worker to be ready")

    def is_ready(self) -> bool:
        try:
            return self.client.get("/ready").status_code == 200
        except httpx.TransportError:
            return False

    def metrics(self) -> str:
        return self.client.get("/metrics").text


def make_warehouse(root: Path, tables: int = 2, files: int = 5) -> None:
    for table in range(tables):
        folder = root / f"sales.db/orders{table}/day=2026-11-24"
        folder.mkdir(parents=True)
        for number in range(files):
            (folder / f"00000{number}_0").write_text(f"row {number}\nrow again {number}\n")
        (folder / "_SUCCESS").touch()
        (folder / "big_0").write_bytes(b"x" * 1500)


def finished(api: Api, kind: str, task_id: int) -> dict[str, object]:
    found: dict[str, object] = {}

    def is_over() -> bool:
        found.update(api.get(f"/api/v1/{kind}/{task_id}").json())
        return found["status"] in {"success", "failed"}

    wait_until(is_over, 30, f"{kind} {task_id} to end")
    return found


def test_ready_says_why_not_in_one_line(platform: Platform) -> None:
    api = Api(platform)
    assert api.problems() == ["schema: found none, expected 0005 or newer; run python -m app.migrate"]
    platform.migrate("0.9.0")
    assert api.problems() == ["schema: found 0002, expected 0005 or newer; run python -m app.migrate"]
    platform.migrate()
    assert api.problems() == []
    lines = [json.loads(line) for line in platform.log(api.log).splitlines()]
    assert [line["message"] for line in lines if line["message"].startswith(("ready", "not ready"))] == [
        "not ready: schema: found none, expected 0005 or newer; run python -m app.migrate",
        "not ready: schema: found 0002, expected 0005 or newer; run python -m app.migrate",
        "ready",
    ]


def test_a_revision_that_the_image_does_not_know_counts_as_newer(platform: Platform) -> None:
    platform.migrate()
    old = Api(platform, "0.9.0")
    assert old.problems() == []
    with platform.engine().begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9f00d'"))
    assert old.problems() == []
    assert Api(platform).problems() == []


def test_a_database_of_another_environment_is_not_ready(platform: Platform) -> None:
    platform.migrate()
    api = Api(platform, APP_ENVIRONMENT="staging")
    assert api.problems() == [
        f"wrong database: {platform.database} says hive-platform in development, "
        "expected hive-platform in staging; check APP_DATABASE_URL and APP_ENVIRONMENT"
    ]


def test_without_redis_or_postgres_it_lives_and_is_not_ready(platform: Platform) -> None:
    dead = free_port()
    api = Api(
        platform,
        APP_REDIS_URL=f"redis://127.0.0.1:{dead}/0",
        APP_DATABASE_URL=f"postgresql+psycopg://hive@127.0.0.1:{dead}/x",
    )
    found = api.problems()
    assert [problem.split(":")[0] for problem in found] == ["database", "redis"]
    assert api.get("/health").status_code == 200
    assert api.get("/metrics").status_code == 200
    assert api.get("/api/v1/clusters").status_code == 503


def test_refused_settings_are_one_log_line_without_the_secret(platform: Platform) -> None:
    refused = platform.run("app.api", APP_ENVIRONMENT="production", APP_DATABASE_PASSWORD="hunter2")  # noqa: S106
    assert refused.returncode == 78
    (line,) = refused.stdout.splitlines()
    message = json.loads(line)["message"]
    assert "APP_REDIS_PASSWORD: the secret is missing" in message
    assert "hunter2" not in refused.stdout + refused.stderr


def test_a_task_of_each_queue_scans_and_merges(platform: Platform) -> None:
    platform.migrate()
    root = platform.folder / "warehouse"
    make_warehouse(root)
    api, worker = Api(platform), Worker(platform)
    cluster = api.post("clusters", name="c1", root_url=f"file://{root}").json()
    scan = finished(api, "scan-tasks", api.post("scan-tasks", cluster_id=cluster["id"]).json()["id"])
    assert (scan["status"], scan["files"], scan["small_files"]) == ("success", 12, 10)
    tables = api.get("/api/v1/tables?order=ratio").json()["items"]
    assert [(t["table_name"], round(t["small_file_ratio"], 3)) for t in tables] == [
        ("orders0", 0.833),
        ("orders1", 0.833),
    ]
    partitions = api.get(f"/api/v1/tables/{tables[0]['id']}/partitions").json()
    assert [(p["partition"], p["small_files"]) for p in partitions] == [("day=2026-11-24", 5)]

    asked = {"cluster_id": cluster["id"], "database_name": "sales", "table_name": "orders0"}
    merge = api.post("merge-tasks", **asked, partition="day=2026-11-24").json()
    merged = finished(api, "merge-tasks", merge["id"])
    assert (merged["status"], merged["files_before"], merged["files_after"], merged["row_count"]) == (
        "success", 5, 1, 10,
    )  # fmt: skip
    folder = root / "sales.db/orders0/day=2026-11-24"
    wait_until(lambda: not list(folder.glob(".merge*")), 5, "the journal to be removed")
    assert sorted(path.name for path in folder.iterdir()) == ["_SUCCESS", "big_0", "merged-1-00000"]

    series = worker.metrics()
    for queue, task in (("scan", "hive.scan_cluster"), ("merge", "hive.merge_partition")):
        wanted = f'celery_tasks_total{{queue="{queue}",status="success",task="{task}",version="1.0.0"}} 1.0'
        assert wanted in series
    assert 'app_build_info{component="worker",version="1.0.0"} 1.0' in series
    assert "hive_merge_rows_total 10.0" in series
    assert "process_resident_memory_bytes" in series
    wait_until(lambda: 'hive_small_files{cluster="c1",database="sales"}' in api.get("/metrics").text, 20, "figures")


def test_each_version_reads_the_tasks_of_the_other(platform: Platform) -> None:
    platform.migrate()
    root = platform.folder / "warehouse"
    make_warehouse(root)
    for sender, reader in (("0.9.0", "1.0.0"), ("1.0.0", "0.9.0")):
        api, worker = Api(platform, sender), Worker(platform, reader)
        cluster = api.post("clusters", name=f"by-{sender[0]}", root_url=f"file://{root}").json()
        scan = finished(api, "scan-tasks", api.post("scan-tasks", cluster_id=cluster["id"]).json()["id"])
        assert (scan["status"], scan["version"]) == ("success", reader)
        table = api.get("/api/v1/tables").json()["items"][0]
        assert ("small_file_ratio" in table) is (sender == "1.0.0")
        worker.process.kill()


def test_the_old_version_refuses_the_new_feature_and_stays_ready_through_the_migration(platform: Platform) -> None:
    platform.migrate("0.9.0")
    api = Api(platform, "0.9.0")
    answers: list[int] = []
    stop = threading.Event()

    def load() -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{api.port}", timeout=10) as client:
            while not stop.is_set():
                answers.extend(client.get(path).status_code for path in ("/ready", "/api/v1/tables"))

    thread = threading.Thread(target=load)
    thread.start()
    platform.migrate()
    stop.set()
    thread.join()
    assert set(answers) == {200}
    assert len(answers) > 50
    assert api.get("/api/v1/tables?order=ratio").status_code == 422
    assert api.get("/api/v1/version").json() == {"version": "0.9.0", "features": [], "schema_head": "0002"}


def test_the_api_drains_before_it_leaves(platform: Platform) -> None:
    platform.migrate()
    api = Api(platform, APP_DRAIN_S="1.5")
    assert api.get("/ready").status_code == 200
    api.process.send_signal(signal.SIGTERM)
    wait_until(lambda: api.get("/ready").status_code != 200, 1, "the API to say that it leaves")
    answer = api.get("/ready")
    assert (answer.status_code, answer.headers["connection"]) == (503, "close")
    assert api.get("/api/v1/clusters").status_code == 200
    assert api.process.wait(10) in {0, -signal.SIGTERM}


def test_a_bad_version_fails_its_share_of_requests(platform: Platform) -> None:
    platform.migrate()
    api = Api(platform, "1.0.1", APP_FAULT_ERROR_RATE="0.2")
    statuses = [api.get("/api/v1/clusters").status_code for _ in range(300)]
    assert 0.1 < statuses.count(500) / 300 < 0.3
    assert api.get("/ready").status_code == 200
    counted = 'http_requests_total{method="GET",route="/api/v1/clusters",status="500",version="1.0.1"}'
    assert counted in api.get("/metrics").text


def children_of(worker: Worker) -> list[str]:
    listed = ["pgrep", "-P", str(worker.process.pid)]
    return subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()


def waiting_in(platform: Platform, queue: str) -> int:
    with redis.Redis(port=platform.redis_port) as broker:
        return int(broker.llen(queue))


def send_probe(platform: Platform, **options: object) -> None:
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    sent = platform.run("app.worker.probe", *arguments)
    assert sent.returncode == 0, sent.stdout + sent.stderr


def test_a_worker_finishes_its_task_before_it_leaves(platform: Platform) -> None:
    platform.migrate()
    worker = Worker(platform)
    send_probe(platform, queue="merge", marker="slow", work_s=3)
    wait_until(lambda: waiting_in(platform, "merge") == 0, 10, "the probe to be taken")
    wait_until(lambda: "probe begins" in platform.log(worker.name), 10, "the probe to begin")
    worker.process.send_signal(signal.SIGTERM)
    worker.process.wait(20)
    assert '"marker": "slow"' in platform.log(worker.name)


def test_a_worker_that_may_not_wait_hands_its_task_back(platform: Platform) -> None:
    platform.migrate()
    first = Worker(platform, APP_WORKER_SHUTDOWN_GRACE_S="1")
    send_probe(platform, queue="merge", marker="handed", work_s=8)
    wait_until(lambda: waiting_in(platform, "merge") == 0, 10, "the probe to be taken")
    wait_until(lambda: "probe begins" in platform.log(first.name), 10, "the probe to begin")
    first.process.send_signal(signal.SIGTERM)
    first.process.wait(20)
    assert '"marker": "handed"' not in platform.log(first.name)
    assert waiting_in(platform, "merge") == 1
    second = Worker(platform)
    wait_until(lambda: '"marker": "handed"' in platform.log(second.name), 20, "the task to run elsewhere")


def test_a_task_process_that_is_killed_gives_its_task_back(platform: Platform) -> None:
    platform.migrate()
    worker = Worker(platform)
    send_probe(platform, queue="scan", marker="survives", work_s=4)
    wait_until(lambda: waiting_in(platform, "scan") == 0, 10, "the probe to be taken")
    wait_until(lambda: "probe begins" in platform.log(worker.name), 10, "the probe to begin")
    subprocess.run(["kill", "-9", *children_of(worker)], check=True)
    wait_until(lambda: '"marker": "survives"' in platform.log(worker.name), 30, "the task to run again")


def test_a_merge_whose_process_is_killed_is_finished_by_the_next_and_loses_nothing(platform: Platform) -> None:
    platform.migrate()
    root = platform.folder / "warehouse"
    folder = root / "sales.db/orders/day=1"
    folder.mkdir(parents=True)
    for number in range(1500):
        (folder / f"{number:06d}_0").write_text(f"row {number}\n")
    api, worker = Api(platform, APP_MERGE_MAX_FILES="2000"), Worker(platform)
    cluster = api.post("clusters", name="c1", root_url=f"file://{root}").json()
    wanted = {"cluster_id": cluster["id"], "database_name": "sales", "table_name": "orders", "partition": "day=1"}
    merge = api.post("merge-tasks", **wanted).json()
    wait_until(lambda: list(folder.glob(".merge-1/old/*")), 20, "the swap to begin")
    children = children_of(worker)
    subprocess.run(["kill", "-9", *children], check=True)
    assert list(folder.glob(".merge-1")), "it was over before the kill"
    merged = finished(api, "merge-tasks", merge["id"])
    assert (merged["status"], merged["files_before"], merged["row_count"]) == ("success", 1500, 1500)
    assert int(str(merged["attempts"])) >= 2
    wait_until(lambda: not list(folder.glob(".merge*")), 5, "the journal to be removed")
    rows = [row for path in folder.iterdir() for row in path.read_text().splitlines()]
    assert sorted(rows) == sorted(f"row {number}" for number in range(1500))


def test_failures_are_counted_by_version(platform: Platform) -> None:
    platform.migrate()
    worker = Worker(platform)
    sent = platform.run("app.worker.probe", "--queue", "scan", "--fail", "--marker", "bad")
    assert sent.returncode == 0
    wanted = 'celery_tasks_total{queue="scan",status="failure",task="hive.probe_scan",version="1.0.0"} 1.0'
    wait_until(lambda: wanted in worker.metrics(), 10, "the failure to be counted")


def test_beat_tells_that_it_lives(platform: Platform) -> None:
    platform.migrate()
    port = free_port()
    platform.start("app.beat", APP_METRICS_PORT=str(port))

    def ticks() -> bool:
        try:
            answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5)
        except httpx.TransportError:
            return False
        return "celery_beat_last_tick_timestamp_seconds 1" in answer.text

    wait_until(ticks, 20, "beat to tick")
    assert httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200
    checked = platform.run("app.healthcheck", APP_METRICS_PORT=str(port), APP_PORT=str(free_port()))
    assert checked.returncode == 0
    assert platform.run("app.healthcheck", APP_METRICS_PORT="1", APP_PORT="1").returncode == 1


@pytest.mark.parametrize("url", ["file:///etc", "webhdfs://10.0.0.1:80/x", "http://x/y", "file:///tmp/../etc"])
def test_the_api_refuses_trees_that_the_settings_do_not_name(platform: Platform, url: str) -> None:
    platform.migrate()
    api = Api(platform)
    assert api.post("clusters", name="evil", root_url=url).status_code == 422
