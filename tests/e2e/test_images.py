"""An image goes from a build to a pod by its digest; a pod sees the company's network."""

from __future__ import annotations

import re

import httpx

from testbed.build import names
from tests.e2e.cluster import apply, eventually, get, network, pods, testbed, workload


def test_a_pushed_image_runs_by_its_digest(image: str, namespace: str) -> None:
    assert re.fullmatch(r"registry\.testbed\.internal:5000/\S+@sha256:[0-9a-f]{64}", image)
    apply(namespace, workload("Deployment", "app", image))
    pod = eventually("a ready pod", lambda: pods(namespace, app="app"), within_s=30)[0]
    assert pod["status"]["containerStatuses"][0]["imageID"] == image
    answer = httpx.get(f"http://{pod['status']['podIP']}:8080/", timeout=5, trust_env=False)
    assert answer.headers["X-Version"] == "v1"


def test_an_unknown_image_is_named_and_nothing_is_pushed(bed: None) -> None:
    done = testbed("push", "localhost/nobody-built-this:1")
    assert done.returncode == 2
    assert "localhost/nobody-built-this:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_stand_in_says_that_it_is_one(bed: None) -> None:
    url = f"http://{network().control}:5000/v2/library/python"
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    manifest = httpx.get(f"{url}/manifests/3.11-slim-bookworm", headers=accept, trust_env=False).json()
    config = httpx.get(f"{url}/blobs/{manifest['config']['digest']}", trust_env=False).json()
    labels = config["config"]["Labels"]
    assert labels["dev.slipway.stand-in"] == "true"
    assert labels["dev.slipway.stand-in.for"] == "docker.io/library/python:3.11-slim-bookworm"


def test_an_upstream_name_leads_to_our_registry(bed: None) -> None:
    pod = get("pods", namespace="argo-rollouts", **{"app.kubernetes.io/name": "argo-rollouts"})["items"][0]
    assert pod["spec"]["containers"][0]["image"] == "quay.io/argoproj/argo-rollouts:v1.9.1"
    assert names.__doc__
