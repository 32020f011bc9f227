"""https and weighted routes through Traefik: the share is true, and an empty Service harms nobody else."""

from __future__ import annotations

from collections import Counter

import httpx
import pytest

from tests.e2e.cluster import (
    HOME,
    apply,
    eventually,
    network,
    pods,
    service,
    visit,
    web,
    weighted_route,
    workload,
)


@pytest.fixture(scope="module")
def two_versions(image: str, namespace: str) -> str:
    """A stable and a canary Deployment behind a route with 90 to 10."""
    apply(
        namespace,
        workload("Deployment", "stable", image, environment={"VERSION": "stable"}),
        workload("Deployment", "canary", image, environment={"VERSION": "canary"}),
        service("stable", "stable"),
        service("canary", "canary"),
        *weighted_route("app", "shares", {"stable": 90, "canary": 10}),
    )
    eventually(
        "both versions ready",
        lambda: all(pods(namespace, app=app) for app in ("stable", "canary")),
        within_s=30,
    )
    eventually("the route", lambda: visit("shares").status_code == 200, within_s=10)
    return namespace


def test_https_is_trusted_with_the_testbeds_ca_and_only_with_it(two_versions: str) -> None:
    assert visit("shares").status_code == 200
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        httpx.get(f"https://{network().ingress}/", trust_env=False)
    assert HOME.ca.read_text(encoding="ascii").startswith("-----BEGIN CERTIFICATE-----")


def test_a_tenth_of_a_thousand_requests_meets_the_canary(two_versions: str) -> None:
    with web("shares") as client:
        seen = Counter(client.get("/").headers["X-Version"] for _ in range(1000))
    assert seen["stable"] + seen["canary"] == 1000
    assert abs(seen["canary"] / 1000 - 0.10) <= 0.03, seen


def test_a_service_without_pods_takes_only_its_own_share(two_versions: str) -> None:
    apply(
        two_versions,
        service("empty", "nobody"),
        *weighted_route("half", "half", {"stable": 50, "empty": 50}),
    )
    with web("half") as client:
        eventually("the stable half", lambda: client.get("/").status_code == 200, within_s=10)
        half = Counter(client.get("/").status_code for _ in range(100))
    # Without allowEmptyServices the whole route is gone: 404 for everybody.
    assert set(half) == {200, 503}
    assert abs(half[200] - 50) <= 5, half
    with web("shares") as client:
        assert {client.get("/").status_code for _ in range(100)} == {200}
