"""What the builder, the gates and the scanner are told, from the committed release spec and environments."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from slipway.errors import RefusedError, SpecError
from slipway.images.plan import address_of, build_of, builds_of, policy_of, with_fault
from slipway.names import EnvironmentKind
from slipway.spec.environment import load_environment
from slipway.spec.release import load_release

ROOT = Path(__file__).parents[4]
RELEASE = load_release(ROOT / "include/releases/hive-platform.yaml")


def test_maps_every_image_of_the_release() -> None:
    builds = {one.name: one for one in builds_of(RELEASE, ROOT)}

    assert set(builds) == {"backend", "frontend"}
    assert (builds["backend"].max_compressed_mb, builds["frontend"].max_compressed_mb) == (500, 50)
    for one in builds.values():
        assert (one.context / one.dockerfile).is_file()
        assert one.facts == {"APP_VERSION": "version", "REVISION": "revision", "CREATED": "created"}


def test_refuses_a_dockerfile_outside_of_its_context() -> None:
    image = RELEASE.images[0].model_copy(update={"dockerfile": "include/app/other/Dockerfile"})

    with pytest.raises(SpecError, match="lies outside of its context"):
        build_of(image, ROOT)


def test_an_image_fails_on_purpose_only_outside_of_production() -> None:
    image, frontend = RELEASE.image("backend"), RELEASE.image("frontend")
    build = build_of(image, ROOT)

    assert with_fault(build, image, 0.2, EnvironmentKind.STAGING).build_args == {"FAULT_ERROR_RATE": "0.2"}
    with pytest.raises(RefusedError, match="and this is production"):
        with_fault(build, image, 0.2, EnvironmentKind.PRODUCTION)
    with pytest.raises(RefusedError, match="cannot fail on purpose"):
        with_fault(build_of(frontend, ROOT), frontend, 0.2, EnvironmentKind.LOCAL)


def test_pods_pull_from_where_the_chart_says() -> None:
    environment = load_environment(ROOT / "include/config/local.yaml")

    address = address_of(environment, "hive-platform")

    assert address.pull_name("backend") == environment.registry.repository("hive-platform", "backend")
    pushed = f"{address.host}/{address.repository('backend')}"
    assert pushed == environment.registry.push_repository("hive-platform", "backend")


def test_production_is_strict() -> None:
    policy = policy_of(load_environment(ROOT / "include/config/production.yaml"))

    assert policy.environment is EnvironmentKind.PRODUCTION
    assert {str(level) for level in policy.fail_on} >= {"HIGH", "CRITICAL"}
    assert policy.max_age <= timedelta(days=2)
    assert policy.waiver is None
