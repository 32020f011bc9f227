"""The release spec: general, closed, and hanging together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from slipway.errors import SpecError
from slipway.names import EnvironmentKind
from slipway.spec.release import ReleaseSpec, fill, load_release

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from slipway.spec.catalog import Catalog

SMALL = """\
application: clock
description: "Says what time it is."
owner: "Team clock"
chart: {path: tests/clock/chart, release_name: clock}
images:
  - name: clock
    context: tests/clock
    dockerfile: tests/clock/Dockerfile
    max_compressed_mb: 20
    user: "65532"
    feeds: [{component: clock, repository: image.repository, digest: image.digest}]
workload:
  component: clock
  rollout: clock
  stable_service: clock-stable
  canary_service: clock-canary
  route: clock
  container: clock
  port: 8080
  metrics:
    requests: 'sum by (pod, code) (http_total{namespace="$namespace", pod_hash="$hash"})'
    status_label: code
    latency: 'sum by (le) (http_seconds_bucket{namespace="$namespace", pod_hash="$hash"})'
    latency_histogram: http_seconds
    pod_hash_label: pod_hash
smoke: [{path: /}]
"""


def test_another_application_needs_neither_followers_nor_migration_nor_settings(tmp_path: Path) -> None:
    """Issue 5: a second, different application is released without a line of slipway."""
    file = tmp_path / "clock.yaml"
    file.write_text(SMALL)
    spec = load_release(file)
    assert (spec.followers, spec.migration, spec.secrets, spec.settings) == ((), None, None, None)
    assert spec.image_of("clock").name == "clock"


def test_the_project_s_own_spec_says_what_slipway_needs(catalog: Catalog) -> None:
    spec = catalog.release("hive-platform")
    assert [follower.name for follower in spec.followers] == ["worker", "beat", "frontend"]
    assert [feed.component for image, feed in spec.feeds() if image.name == "backend"] == ["backend", "worker", "beat"]
    assert spec.image("frontend").max_compressed_mb == 50
    assert spec.smoke[2].expected("1.0.0") == {"version": "1.0.0"}
    assert spec.followers[0].probe is not None
    assert spec.followers[0].probe.arguments(7)[-2:] == ["--count", "7"]
    assert spec.secrets is not None
    assert "APP_REDIS_PASSWORD" in spec.secrets.required(EnvironmentKind.PRODUCTION)


def test_a_query_is_filled_with_names_only() -> None:
    assert fill('up{a="$namespace",b="$hash",c=~"x$$"}', namespace="hive", pod_hash="abc") == (
        'up{a="hive",b="abc",c=~"x$"}'
    )
    for bad in ('x"} or up{a="', "a b", "a\n", "$hash"):
        with pytest.raises(ValueError, match="not a name"):
            fill("$namespace", namespace=bad)


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], object]:
    def change(data: dict[str, Any]) -> None:
        *above, last = path.split(".")
        here: Any = data
        for step in above:
            here = here[int(step)] if step.isdigit() else here[step]
        here[int(last) if last.isdigit() else last] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set("worklod", {}), "worklod: unknown key"),
        (_set("worklod", {}), "meant    workload?"),
        (_set("workload.component", "page"), "workload.component is no component of an image"),
        (_set("followers.0.name", "cook"), "each follower is a component of an image"),
        (_set("followers", []), "each component of an image is the workload or a follower"),
        (_set("images.1.name", "backend"), "two images have the same name"),
        (_set("images.1.feeds.0.component", "beat"), "one component is fed by two images"),
        (_set("images.0.context", "../outside"), "images[0].context: "),
        (_set("images.0.context", "/etc"), "images[0].context: "),
        (_set("images.0.user", "root"), "images[0].user: not in the right form"),
        (_set("images.0.arguments", {"APP_VERSION": "verson"}), "images[0].arguments.APP_VERSION: not one of the"),
        (_set("images.0.max_compressed_mb", "500"), "images[0].max_compressed_mb: not a whole number"),
        (_set("workload.port", 0), "workload.port: too small\n  found    0\n  allowed  1 or more"),
        (_set("workload.metrics.requests", "up{}"), "it has to contain $hash"),
        (_set("workload.metrics.requests", "up{a='$hash',b='$pod'}"), "$ begins $namespace or $hash"),
        (_set("workload.metrics.router", "up{a='$hash'}"), "$ begins $namespace"),
        (_set("workload.rollout", "Hive_Backend"), "workload.rollout: not in the right form"),
        (_set("smoke.0.path", "health"), "smoke[0].path: not in the right form"),
        (_set("smoke", []), "smoke: too few items"),
        (_set("migration.expand_only", False), "migration.expand_only: not one of the known words"),
        (_set("application", "other"), "application: not the name of the file"),
        (_set("links", {"Runbook": "https://u:p@wiki.example.com"}), "links.Runbook: a secret is written out"),
    ],
)
def test_what_does_not_hang_together_is_refused(
    load_spec: Callable[..., ReleaseSpec], change: Callable[[dict[str, Any]], object], words: str
) -> None:
    with pytest.raises(SpecError) as error:
        load_spec(change)
    assert words in str(error.value)


def test_a_refusal_says_file_line_path_found_allowed_and_the_nearest_key(tmp_path: Path) -> None:
    """7.1: a validator that says path, value found, what is allowed, and the nearest known key."""
    file = tmp_path / "clock.yaml"
    file.write_text(SMALL.replace("port: 8080", "port: 80800").replace("route: clock", "rout: clock"))
    with pytest.raises(SpecError) as error:
        load_release(file, "include/releases/clock.yaml")
    assert str(error.value) == (
        "the release spec: refused, 3 finding(s); nothing was touched\n"
        "include/releases/clock.yaml:12: workload.route: the key is missing\n"
        "  allowed  The weighted route (TraefikService).\n"
        "include/releases/clock.yaml:17: workload.rout: unknown key\n"
        "  allowed  canary_service, component, container, metrics, port, rollout, route, stable_service\n"
        "  meant    route?\n"
        "include/releases/clock.yaml:19: workload.port: too large\n"
        "  found    80800\n"
        "  allowed  65535 or less"
    )
