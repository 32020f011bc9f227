"""The page's image in a pod as strict as the chart's: built, pushed, read-only, nobody's user, and what it answers."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.e2e.cluster import (
    apply,
    environment_of_build,
    eventually,
    get,
    kubectl,
    network,
    pods,
    service,
    testbed,
    workload,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

FRONTEND = Path(__file__).parents[2] / "include" / "app" / "frontend"
LIMIT_BYTES = 50 * 1000 * 1000
FOR_EVER = "public, max-age=31536000, immutable"
STRICT = {
    "runAsNonRoot": True,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}


@pytest.fixture(scope="module")
def frontend_image(bed: None) -> str:
    """The image of version 1.0.0, in the registry, named by digest."""
    name = "localhost/slipway-test-frontend:1"
    command = ["buildah", "bud", "--quiet", "--format=docker", "--build-arg=APP_VERSION=1.0.0", f"--tag={name}"]
    subprocess.run(
        [*command, f"--file={FRONTEND / 'Dockerfile.prod'}", str(FRONTEND)],
        env=environment_of_build(), check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    try:
        done = testbed("push", name)
    finally:
        subprocess.run(["buildah", "rmi", name], check=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def strict_pod(name: str, image: str, **environment: str) -> dict[str, Any]:
    """Write a Deployment of the page with all rights taken away; only /tmp can be written."""
    written = workload("Deployment", name, image)
    spec = written["spec"]["template"]["spec"]
    container = spec["containers"][0] | {
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
        "securityContext": STRICT,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the pod's own
    }
    spec |= {"containers": [container], "volumes": [{"name": "tmp", "emptyDir": {}}]}
    return written


@pytest.fixture(scope="module")
def deployed(frontend_image: str, image: str, namespace: str) -> str:
    """Start the page alone, the page with a proxy, one with a bad address, and something to send requests to."""
    apply(
        namespace,
        workload("Deployment", "app", image),
        service("app", "app"),
        strict_pod("page", frontend_image),
        strict_pod("proxy", frontend_image, BACKEND_URL=f"http://app.{namespace}.svc.cluster.local"),
        strict_pod("bad", frontend_image, BACKEND_URL="http://user:hunter2@app"),
    )
    return namespace


@pytest.fixture(scope="module")
def page(deployed: str) -> Iterator[httpx.Client]:
    """A client of the page's pod."""
    pod = eventually("the page", lambda: pods(deployed, app="page"), within_s=30)[0]
    address = f"http://{pod['status']['podIP']}:8080"
    with httpx.Client(base_url=address, timeout=5, trust_env=False) as client:
        yield client


def blob(image: str, kind: str, digest: str) -> httpx.Response:
    """Read a manifest or blob of an image from the registry."""
    repository = image.partition("/")[2].partition("@")[0]
    accept = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
    url = f"http://{network().control}:5000/v2/{repository}/{kind}/{digest}"
    answer = httpx.get(url, headers={"Accept": accept}, timeout=10, trust_env=False)
    answer.raise_for_status()
    return answer


def test_the_image_is_small_and_says_what_it_is(frontend_image: str) -> None:
    """7.2: image size below 50 MB (frontend), health check, non-root user."""
    manifest = blob(frontend_image, "manifests", frontend_image.partition("@")[2]).json()
    # The registry holds layers uncompressed, so this is more than what a compressed push would count.
    assert sum(layer["size"] for layer in manifest["layers"]) < LIMIT_BYTES
    config = blob(frontend_image, "blobs", manifest["config"]["digest"]).json()["config"]
    assert config["User"] == "101:101"
    assert config["Labels"]["org.opencontainers.image.title"] == "hive-platform-frontend"
    assert config["Labels"]["org.opencontainers.image.version"] == "1.0.0"
    assert config["StopSignal"] == "SIGQUIT"
    assert list(config["ExposedPorts"]) == ["8080/tcp"]
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert config["Healthcheck"]["Test"][-1] == "http://127.0.0.1:8080/healthz"


def test_it_runs_as_nobody_on_a_root_that_nobody_can_write(deployed: str, page: httpx.Client) -> None:
    """7.2: runs as non-root; the health check of the image answers."""
    script = "id -u; touch /srv/www/x 2>&1; ls /tmp; wget -q -O /dev/null http://127.0.0.1:8080/healthz && echo healthy"
    said = kubectl("exec", f"--namespace={deployed}", "deploy/page", "--", "/bin/sh", "-c", script).splitlines()
    assert said[0] == "101"
    assert said[1] == "touch: /srv/www/x: Read-only file system"
    assert "nginx.pid" in said
    assert said[-1] == "healthy"


def test_the_page_is_never_kept_and_comes_with_a_strict_policy(page: httpx.Client) -> None:
    answer = page.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-app-version"] == "1.0.0"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["server"] == "nginx"
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "img-src", "connect-src")} == {"'self'"}
    assert policy["frame-ancestors"] == "'none'"
    assert '<meta name="page-version" content="1.0.0">' in answer.text
    assert "@" not in re.sub(r"hive@namenode", "", answer.text)


def test_assets_are_kept_for_ever_under_this_builds_name_only(page: httpx.Client) -> None:
    named = re.findall(r'"(/assets/[0-9a-f]{12}/[a-z-]+\.(?:js|css))"', page.get("/").text)
    assert len(named) == len(list((FRONTEND / "site" / "assets").iterdir()))
    for path in named:
        answer = page.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["cache-control"] == FOR_EVER
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["vary"] == "Accept-Encoding"
        assert answer.content == (FRONTEND / "site" / "assets" / Path(path).name).read_bytes()
    assert answer.headers["content-type"].endswith("javascript; charset=utf-8")
    # While a rollout mixes two builds: our file, but not to be kept under the other's name.
    other = page.get("/assets/000000000000/main.js")
    assert (other.status_code, other.headers["cache-control"]) == (200, "no-store")
    missing = page.get(named[0].rpartition("/")[0] + "/missing.js")
    assert (missing.status_code, missing.headers["cache-control"]) == (404, "no-store")


def test_an_asset_is_not_sent_twice(page: httpx.Client) -> None:
    path = re.findall(r'"(/assets/[^"]+)"', page.get("/").text)[0]
    tag = page.get(path).headers["etag"]
    again = page.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/", 200),
        ("GET", "/healthz", 200),
        ("GET", "/missing", 404),
        ("GET", "/assets/", 404),
        ("GET", "/assets/../nginx.conf", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 400),
        ("GET", "/index.html.gz/x", 404),
        ("GET", "/api/v1/version", 404),  # the ingress leads it to the backend, not this server
        ("POST", "/", 405),
        ("DELETE", "/favicon.svg", 405),
    ],
)
def test_every_answer_has_the_headers_and_no_more_than_it_should(
    page: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = page.request(method, path)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "root:" not in answer.text
    if status == 404:
        assert "There is nothing at this address" in answer.text
    if method == "HEAD":
        assert answer.content == b""


def test_backend_url_switches_the_proxy_on(deployed: str) -> None:
    pod = eventually("the page with a proxy", lambda: pods(deployed, app="proxy"), within_s=30)[0]
    address = f"http://{pod['status']['podIP']}:8080"

    def through() -> httpx.Response | None:
        answer = httpx.get(f"{address}/api/v1/x", timeout=5, trust_env=False)
        return answer if answer.is_success else None

    answer = eventually("an answer through the proxy", through, within_s=20)
    assert answer.headers["x-version"] == "v1"
    assert answer.headers["cache-control"] == "no-store"
    assert "content-security-policy" not in answer.headers
    assert httpx.get(address, timeout=5, trust_env=False).headers["x-app-version"] == "1.0.0"


def test_a_bad_backend_url_ends_the_start_with_a_sentence_and_without_its_password(deployed: str) -> None:
    def refused() -> str | None:
        codes = {
            state.get("terminated", {}).get("exitCode")
            for pod in get("pods", namespace=deployed, app="bad")["items"]
            for container in pod["status"].get("containerStatuses", [])
            for state in (container["state"], container["lastState"])
        }
        log = kubectl("logs", f"--namespace={deployed}", "--selector=app=bad", check=False)
        return log if 1 in codes and "BACKEND_URL" in log else None

    log = eventually("the refusal", refused, within_s=30)
    assert "BACKEND_URL: the port is not a number from 1 to 65535; expected http://HOST[:PORT]" in log
    assert "hunter2" not in log
