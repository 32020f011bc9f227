"""7.2: docker-compose.prod.yml has several replicas and limits; checked against the specification's own schema.

The schema is read from the Go module of compose-spec, so nothing of it is copied here. Where Docker Compose is
installed, it has to accept the file as well.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

COMPOSE = Path(__file__).parents[3] / "include/app/docker-compose.prod.yml"
MODULE = "github.com/compose-spec/compose-go/v2@v2.16.2"
OURS = ("migrate", "backend", "worker", "beat", "frontend")
REPLICAS = {"backend": 3, "worker": 5, "beat": 1, "frontend": 2}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    command = ["go", "mod", "download", "-json", MODULE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd="/")
    content: dict[str, Any] = json.loads(
        (Path(json.loads(done.stdout)["Dir"]) / "schema/compose-spec.json").read_text()
    )
    return content


def test_follows_the_specification(document: dict[str, Any], schema: dict[str, Any]) -> None:
    jsonschema.validate(document, schema)


def test_the_specification_would_notice_a_mistake(document: dict[str, Any], schema: dict[str, Any]) -> None:
    document = json.loads(json.dumps(document))
    document["services"]["backend"]["deploy"]["replica"] = 3

    with pytest.raises(jsonschema.ValidationError, match="replica"):
        jsonschema.validate(document, schema)


def test_has_the_replicas_of_the_story(document: dict[str, Any]) -> None:
    """7.2: docker-compose.prod.yml configures several replicas and resource limits."""
    services = document["services"]

    assert {name: services[name]["deploy"]["replicas"] for name in REPLICAS} == REPLICAS


def test_every_service_is_limited_and_hardened(document: dict[str, Any]) -> None:
    for name, service in document["services"].items():
        limits = service["deploy"]["resources"]["limits"]
        assert set(limits) == {"cpus", "memory"}, name
        assert set(service["deploy"]["resources"]["reservations"]) == {"cpus", "memory"}, name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert any(mount.partition(":")[0] == "/tmp" for mount in service["tmpfs"]), name  # noqa: S108 - in a container
        assert service["user"].partition(":")[0] not in ("", "0", "root"), name
        assert service["healthcheck"], name


def test_images_of_ours_have_no_default_and_no_tag(document: dict[str, Any]) -> None:
    for name in OURS:
        assert document["services"][name]["image"].startswith(("${BACKEND_IMAGE:?", "${FRONTEND_IMAGE:?")), name


def test_no_secret_stands_in_the_file(document: dict[str, Any]) -> None:
    for name, service in document["services"].items():
        for key, value in (service.get("environment") or {}).items():
            assert "PASSWORD" not in key or key.endswith("_FILE"), f"{name}: {key}={value}"
    assert all(set(secret) == {"file"} for secret in document["secrets"].values())


def test_data_services_are_a_profile_that_nothing_requires(document: dict[str, Any]) -> None:
    for name in ("postgres", "redis"):
        assert document["services"][name]["profiles"] == ["database"]
    for name in OURS:
        for other, condition in document["services"][name].get("depends_on", {}).items():
            assert other not in ("postgres", "redis") or condition["required"] is False, name


def test_docker_compose_accepts_it_where_it_is_installed(tmp_path: Path) -> None:
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode != 0:
        pytest.skip("docker compose is not installed; the specification's schema was held against the file")
    env_file = COMPOSE.parent / "backend/.env.production.example"
    env = {**os.environ, "BACKEND_IMAGE": "x@sha256:0", "FRONTEND_IMAGE": "y@sha256:0", "ENV_FILE": str(env_file)}
    command = ["docker", "compose", "--file", str(COMPOSE), "config", "--quiet"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
