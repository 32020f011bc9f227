"""The project's own configuration (story 7.1): complete, valid, isolated, without a secret."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from jsonschema import Draft202012Validator
from slipway.errors import SpecError
from slipway.names import EnvironmentKind
from slipway.spec.catalog import Catalog
from slipway.spec.checks import check_isolation
from slipway.spec.guide import render
from slipway.spec.values import effective_settings

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[4]
ENVIRONMENTS = ["local", "production", "staging"]


def test_env_production_example_names_every_group_of_settings() -> None:
    """7.1: backend/.env.production.example has database, Redis, Celery, CORS, logging, monitoring and security."""
    text = (ROOT / "include/app/backend/.env.production.example").read_text()
    for name in (
        "APP_DATABASE_URL", "APP_DATABASE_PASSWORD", "APP_REDIS_URL", "APP_REDIS_PASSWORD", "APP_WORKER_CONCURRENCY",
        "APP_CORS_ORIGINS", "APP_LOG_LEVEL", "APP_SENTRY_DSN", "APP_METRICS_PORT", "APP_DEBUG",
    ):  # fmt: skip
        assert f"\n{name}=" in text
    schema = json.loads((ROOT / "include/app/backend/settings.schema.json").read_text())
    for group in schema["properties"].values():
        for name in group["properties"]:
            assert f"APP_{name.upper()}=" in text


def test_production_yaml_has_hive_celery_scan_and_monitoring(catalog: Catalog) -> None:
    """7.1: config/production.yaml has the parameters of Hive, Celery, scanning and monitoring."""
    settings = catalog.environment("production").application("hive-platform").settings
    assert set(settings) >= {"hive", "celery", "scan", "monitoring", "database", "api", "process"}
    assert settings["hive"]["storage_roots"]
    assert settings["scan"]["scan_small_file_bytes"] == 128 * 1024 * 1024


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_effective_settings_pass_the_schema(catalog: Catalog, name: str) -> None:
    """7.1: the configuration files pass the validation by the schema."""
    release, environment = catalog.checked("hive-platform", name)
    assert release.settings is not None
    schema = json.loads((ROOT / release.settings.schema_path).read_text())
    settings = effective_settings(release, environment, ROOT)
    assert [error.message for error in Draft202012Validator(schema).iter_errors(settings)] == []
    assert settings["process"]["environment"] == release.settings.environments[environment.kind]


@pytest.mark.parametrize("first", ["production", "staging"])
def test_environments_share_no_host_database_namespace_or_secret(catalog: Catalog, first: str) -> None:
    """7.1: the production configuration is completely apart from that of development."""
    for other in set(ENVIRONMENTS) - {first}:
        assert check_isolation(catalog.environment(first), catalog.environment(other)) == []
    places = set()
    for name in ENVIRONMENTS:
        release, environment = catalog.checked("hive-platform", name)
        assert release.secrets is not None
        places.add((environment.namespace_of("hive-platform"), release.secrets.name))
    assert len(places) == len(ENVIRONMENTS), "each Secret lies in a namespace of its own"


def test_what_is_shared_is_found(catalog: Catalog, load_changed: Callable[..., object]) -> None:
    production = catalog.environment("production")

    def steal(data: dict[str, object]) -> None:
        mine = yaml.safe_load((ROOT / "include/config/production.yaml").read_text())
        data["applications"], data["cluster"] = mine["applications"], mine["cluster"]

    thief = load_changed("staging", steal)
    found = "\n".join(finding.render() for finding in check_isolation(production, thief))  # type: ignore[arg-type]
    assert "it shares a host with staging\n  found    'postgres.example.com'" in found
    assert "it shares a database with staging\n  found    'postgres.example.com:5432/hive_platform'" in found
    assert "it shares a namespace with staging\n  found    'hive-production'" in found
    assert (
        "it shares a reference to a secret with staging\n  found    'connection hive_platform_production_db'" in found
    )


def test_every_secret_is_a_reference() -> None:
    """7.1: all sensitive information is taken from environment variables or Kubernetes Secrets."""
    for path in [*(ROOT / "include/config").glob("*.yaml"), *(ROOT / "include/releases").glob("*.yaml")]:
        for line in path.read_text().splitlines():
            assert not re.search(r"://[^/\s@]*:[^/\s]*@", line), f"{path.name}: an address with a password"
            assert not re.search(r"(password|token|secret|dsn)\s*:\s*['\"]?[^\s{\[]", line, re.IGNORECASE), path.name
    example = (ROOT / "include/app/backend/.env.production.example").read_text()
    found = re.findall(r"^(APP_\w*(?:PASSWORD|DSN))=(.*)$", example, re.MULTILINE)
    assert len(found) == 3
    assert {value for _, value in found} <= {"", "replace-me"}


def test_each_kind_of_environment_says_which_keys_its_secret_has(catalog: Catalog) -> None:
    """7.1: a missing Secret is found before anything starts, because the spec names its keys."""
    secrets = catalog.release("hive-platform").secrets
    assert secrets is not None
    assert set(secrets.keys) == set(EnvironmentKind)
    assert set(secrets.required(EnvironmentKind.PRODUCTION)) == {"APP_DATABASE_PASSWORD", "APP_REDIS_PASSWORD"}


def test_the_guide_is_fresh_and_has_every_key(catalog: Catalog) -> None:
    """7.1: docs/operations/configuration-guide.md has every key of the schemas."""
    guide = (ROOT / "docs/operations/configuration-guide.md").read_text()
    assert guide == render(catalog), "python -m slipway config guide --output docs/operations/configuration-guide.md"
    schema = json.loads((ROOT / "include/app/backend/settings.schema.json").read_text())
    for group, inner in schema["properties"].items():
        for name in inner["properties"]:
            assert f"| `{group}.{name}` |" in guide
    for path in (ROOT / "include/config").glob("*.yaml"):
        for key in yaml.safe_load(path.read_text()):
            assert f"| `{key}` |" in guide


# -- what only several files together can show ------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path: Path) -> Catalog:
    """Copy what the specs name, so that it can be broken."""
    for folder in ("include/releases", "include/config", "include/charts/hive-platform"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for folder in ("backend", "frontend"):
        there = tmp_path / "include/app" / folder
        there.mkdir(parents=True)
        shutil.copy(ROOT / "include/app" / folder / "Dockerfile.prod", there)
    backend = tmp_path / "include/app/backend"
    shutil.copy(ROOT / "include/app/backend/settings.schema.json", backend)
    shutil.copy(ROOT / "include/app/backend/alembic.ini", backend)
    (backend / "migrations/versions").mkdir(parents=True)
    return Catalog(tmp_path)


def replace(catalog: Catalog, file: str, old: str, new: str) -> None:
    path = catalog.root / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


LOCAL, SPEC = "include/config/local.yaml", "include/releases/hive-platform.yaml"
OVERLAY = "include/charts/hive-platform/values-local.yaml"


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        (LOCAL, "    settings:\n", "    settings:\n      scan: {scan_timeout: 5}\n",
         ": applications.hive-platform.settings.scan.scan_timeout: unknown setting\n"
         "  allowed  scan_max_files, scan_small_file_bytes, scan_timeout_s\n  meant    scan_timeout_s?"),
        (LOCAL, "    settings:\n", "    settings:\n      api: {port: 0}\n",
         "settings.api.port: too small\n  found    0\n  allowed  at least 1"),
        (LOCAL, "environment: development", "environment: production", "settings.hive.storage_roots: too few items"),
        (LOCAL, "environment: development", "environment: staging",
         "the application would not know that it runs in local\n  found    'staging'\n  allowed  development"),
        (OVERLAY, "task_retry_delay_s: 1", "task_retry_delay_s: -1",
         "include/charts/hive-platform/values-local.yaml:"),
        (LOCAL, "values-local.yaml", "values-locl.yaml", "applications.hive-platform.values[0]: it is not in the proj"),
        (SPEC, "worker.digest", "worker.digst", "images[0].feeds[1].digest: include/charts/hive-platform/values.yaml"),
        (SPEC, "worker.digest", "worker.digst", "meant    digest?"),
        (SPEC, "templates/migration-job.yaml", "templates/job.yaml", "migration.template: it is not in the project"),
        (SPEC, "    local: [APP_DATABASE_PASSWORD]\n", "", "kind: the release spec of hive-platform does not say"),
        (LOCAL, "  hive-platform:\n    url", "  hive-plattform:\n    url", "hive-platform is not released here"),
        (LOCAL, "load: {kind: live}", "load: {kind: synthetic, requests_per_s: 30}", None),
        (LOCAL, "load: {kind: live}", "load: {kind: synthetic, requests_per_s: 5}",
         "canary.load.requests_per_s: too few for a verdict at 10 %, which needs 200 requests to each version, for a "
         "P95\n  found    5 requests/s: 36 of them are seen there in hold and deadline (25 s + 60 s)"
         "\n  allowed  27.4 requests/s or more, a longer hold, or a lower minimum"),
        (LOCAL, "load: {kind: live}", "load: {kind: synthetic, requests_per_s: 5}",
         "too few for a verdict at 50 %, which needs 200 requests to the canary\n  found    5 requests/s: 182 of them"),
        (LOCAL, "load: {kind: live}", "load: {kind: synthetic, requests_per_s: 2}",
         "too few for a verdict at 100 %, which needs 200 requests to the canary\n  found    2 requests/s: 136 of"),
        (LOCAL, "load: {kind: live}", "load: {kind: synthetic, requests_per_s: 2}", "too few for a verdict at a first"),
        (SPEC, "synthetic_paths: [/api/v1/version, /api/v1/clusters, /api/v1/tables]\n", "", None),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused(copy: Catalog, file: str, old: str, new: str, words: str | None) -> None:
    copy.checked("hive-platform", "local")
    if "storage_roots" in str(words):
        replace(copy, OVERLAY, '["webhdfs://hive@hdfs:9870/warehouse"]', "[]")
    replace(copy, file, old, new)
    if words is None:
        copy.checked("hive-platform", "local")
        return
    with pytest.raises(SpecError) as error:
        copy.checked("hive-platform", "local")
    assert words in str(error.value)


def test_a_name_is_compared_and_never_a_path(copy: Catalog) -> None:
    with pytest.raises(SpecError) as error:
        copy.environment("prodution")
    assert str(error.value) == (
        "there is no such environment: include/config has no file of that name\n"
        "  found  'prodution'\n"
        '  do     write "production"'
    )
    for name in ("../config/local", "local.yaml", "", "/etc/passwd", "$(id)"):
        with pytest.raises(SpecError, match="there is no such application"):
            copy.release(name)


def test_a_broken_schema_is_refused_in_a_sentence(copy: Catalog) -> None:
    for content in ("{", '{"type": 1}', "[" * 5000):
        (copy.root / "include/app/backend/settings.schema.json").write_text(content)
        with pytest.raises(SpecError, match="the settings' schema cannot be read"):
            copy.checked("hive-platform", "local")
