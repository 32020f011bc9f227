"""The registry's client against a registry that is a function."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from slipway.errors import RegistryError
from slipway.hooks.registry import Registry, credentials, login_file
from slipway.images.address import RegistryAddress
from slipway.images.facts import DOCKER_LIST, DOCKER_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOST = "registry.example.com:5000"
CONFIG = json.dumps(
    {
        "config": {
            "User": "10001:10001",
            "Labels": {"dev.slipway.source": "abc", "dev.slipway.stand-in": "true"},
            "Healthcheck": {"Test": ["CMD", "python", "-m", "app.healthcheck"], "Interval": 10_000_000_000},
        }
    }
).encode()


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


MANIFEST = json.dumps(
    {
        "mediaType": DOCKER_MANIFEST,
        "config": {"digest": digest_of(CONFIG)},
        "layers": [
            {
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                "size": 60_000_000,
                "digest": "sha256:1",
            },
            {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": 1_500_000, "digest": "sha256:2"},
        ],
    }
).encode()


def answer(content: bytes, kind: str = DOCKER_MANIFEST) -> httpx.Response:
    return httpx.Response(200, content=content, headers={"Content-Type": kind})


GOOD: dict[str, httpx.Response] = {
    "/v2/hive/backend/manifests/1.0.0": answer(MANIFEST),
    f"/v2/hive/backend/manifests/{digest_of(MANIFEST)}": answer(MANIFEST),
    f"/v2/hive/backend/blobs/{digest_of(CONFIG)}": answer(CONFIG),
    "/v2/": httpx.Response(200),
}


@pytest.fixture
def registry_of() -> Iterator[Callable[..., Registry]]:
    made: list[Registry] = []

    def make(handle: Any, auth_file: Path | None = None) -> Registry:
        answers = handle if callable(handle) else lambda request: handle.get(request.url.path, httpx.Response(404))
        made.append(Registry(HOST, auth_file=auth_file, transport=httpx.MockTransport(answers)))
        return made[-1]

    yield make
    for registry in made:
        registry.close()


@pytest.mark.parametrize("reference", ["1.0.0", digest_of(MANIFEST)])
def test_reads_what_an_image_says_of_itself(registry_of: Callable[..., Registry], reference: str) -> None:
    facts = registry_of(GOOD).inspect("hive/backend", reference)

    assert facts is not None
    assert (facts.digest, facts.user, facts.compressed_mb) == (digest_of(MANIFEST), "10001:10001", 61.5)
    assert facts.healthcheck is not None
    assert (facts.healthcheck.command[-1], facts.healthcheck.interval_s) == ("app.healthcheck", 10.0)
    assert (facts.source_sha256, facts.is_on_stand_in, facts.has_docker_format) == ("abc", True, True)


def test_says_none_when_there_is_no_such_image(registry_of: Callable[..., Registry]) -> None:
    assert registry_of({}).inspect("hive/backend", "1.0.0") is None


def test_takes_the_nodes_platform_from_a_list(registry_of: Callable[..., Registry]) -> None:
    entries = [
        {"digest": "sha256:other", "platform": {"os": "linux", "architecture": "arm64"}},
        {"digest": digest_of(MANIFEST), "platform": {"os": "linux", "architecture": "amd64"}},
    ]
    index = json.dumps({"manifests": entries}).encode()
    facts = registry_of({**GOOD, "/v2/hive/backend/manifests/2": answer(index, DOCKER_LIST)}).inspect(
        "hive/backend", "2"
    )

    assert facts is not None
    assert facts.digest == digest_of(MANIFEST)

    only_arm = json.dumps({"manifests": entries[:1]}).encode()
    with pytest.raises(RegistryError, match="has no image for linux/amd64"):
        registry_of({"/v2/hive/backend/manifests/2": answer(only_arm, DOCKER_LIST)}).inspect("hive/backend", "2")


@pytest.mark.parametrize(
    ("path", "what"),
    [
        (f"/v2/hive/backend/manifests/{digest_of(MANIFEST)}", f"{HOST}/hive/backend@{digest_of(MANIFEST)}"),
        (f"/v2/hive/backend/blobs/{digest_of(CONFIG)}", f"the configuration of {HOST}/hive/backend@"),
    ],
)
def test_notices_content_that_is_not_what_its_digest_says(
    registry_of: Callable[..., Registry], path: str, what: str
) -> None:
    swapped = {**GOOD, path: answer(MANIFEST.replace(b"60000000", b"60000001") if "manifests" in path else b"{}")}

    with pytest.raises(RegistryError) as caught:
        registry_of(swapped).inspect("hive/backend", digest_of(MANIFEST))

    assert caught.value.what.startswith(what)
    assert caught.value.what.endswith("is not what its digest says")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"layers": []}', b'{"config": 1, "layers": [{}]}'])
def test_refuses_what_is_no_manifest(registry_of: Callable[..., Registry], content: bytes) -> None:
    with pytest.raises(RegistryError):
        registry_of({"/v2/hive/backend/manifests/1.0.0": answer(content)}).inspect("hive/backend", "1.0.0")


def test_says_when_nobody_answers(registry_of: Callable[..., Registry]) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    with pytest.raises(RegistryError) as caught:
        registry_of(refuse).check()

    assert str(caught.value) == (
        f"the registry {HOST} does not answer\n"
        "  found  ConnectError: connection refused\n"
        "  do     look whether the registry runs, its name resolves, and http or https is what it speaks"
    )


def test_says_who_is_not_let_in(registry_of: Callable[..., Registry]) -> None:
    with pytest.raises(RegistryError) as caught:
        registry_of({"/v2/": httpx.Response(401, text="who are you?")}).check()

    assert (caught.value.found, caught.value.mend) == ("HTTP 401: who are you?", "log in: skopeo login REGISTRY")


def test_gets_a_token_with_the_password_and_never_sends_that_elsewhere(
    registry_of: Callable[..., Registry], tmp_path: Path
) -> None:
    auth_file = tmp_path / "auth.json"
    basic = base64.b64encode(b"robot:pass:word").decode()
    auth_file.write_text(json.dumps({"auths": {HOST: {"auth": basic}}}))
    seen: list[tuple[str, str]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        said = request.headers.get("authorization", "")
        seen.append((request.url.host, said))
        if request.url.host == "auth.example.com":
            assert dict(request.url.params) == {"service": "registry", "scope": "repository:hive/backend:pull"}
            return httpx.Response(200, json={"token": "t0ken"})
        if said == "Bearer t0ken":
            return GOOD["/v2/"]
        challenge = (
            'Bearer realm="https://auth.example.com/token",service="registry",scope="repository:hive/backend:pull"'
        )
        return httpx.Response(401, headers={"WWW-Authenticate": challenge})

    registry_of(handle, auth_file).check()

    assert seen == [
        ("registry.example.com", ""),
        ("auth.example.com", f"Basic {basic}"),
        ("registry.example.com", "Bearer t0ken"),
    ]


def test_does_not_send_the_password_on_without_tls(registry_of: Callable[..., Registry], tmp_path: Path) -> None:
    seen: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(401, headers={"WWW-Authenticate": 'Bearer realm="http://auth.example.com/token"'})

    with pytest.raises(RegistryError, match="cannot be read from the registry"):
        registry_of(handle, login_file(tmp_path, HOST, "robot", "secret")).check()

    assert seen == [f"https://{HOST}/v2/"]


def test_sends_the_password_where_basic_is_asked(registry_of: Callable[..., Registry], tmp_path: Path) -> None:
    auth_file = tmp_path / "auth.json"
    basic = base64.b64encode(b"robot:secret").decode()
    auth_file.write_text(json.dumps({"auths": {HOST: {"auth": basic}}}))

    def handle(request: httpx.Request) -> httpx.Response:
        if request.headers.get("authorization") == f"Basic {basic}":
            return httpx.Response(200)
        return httpx.Response(401, headers={"WWW-Authenticate": 'Basic realm="x"'})

    registry_of(handle, auth_file).check()


def test_reads_credentials_where_a_login_leaves_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"auths": {"other": {"auth": "eDp5"}}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))

    assert credentials("other") == ("x", "y")
    assert credentials(HOST) is None
    file.write_text("no json, and a secret")
    with pytest.raises(RegistryError) as caught:
        credentials(HOST)
    assert "a secret" not in str(caught.value)


def test_writes_credentials_for_its_own_eyes_only(tmp_path: Path) -> None:
    file = login_file(tmp_path, HOST, "robot", "pass:word")

    assert credentials(HOST, file) == ("robot", "pass:word")
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "host", "repository"),
    [
        ("registry.example.com/hive-platform", "registry.example.com", "hive-platform/backend"),
        ("10.200.0.1:5000", "10.200.0.1:5000", "backend"),
        ("http://10.200.0.1:5000/a/b/", "10.200.0.1:5000", "a/b/backend"),
    ],
)
def test_reads_an_address(text: str, host: str, repository: str) -> None:
    address = RegistryAddress.parse(text)

    assert (address.host, address.repository("backend")) == (host, repository)
    assert address.is_plain_http is text.startswith("http://")


@pytest.mark.parametrize("text", ["", "/x", "-host/x", "host/UPPER", "host/a b", "host/../x"])
def test_refuses_what_is_no_address(text: str) -> None:
    with pytest.raises(RegistryError, match="not the address of a registry"):
        RegistryAddress.parse(text)


def test_nodes_may_know_the_registry_by_another_name() -> None:
    address = RegistryAddress.parse("10.200.0.1:5000/hive", pull="registry.testbed.internal:5000/hive")

    assert address.pull_name("backend") == "registry.testbed.internal:5000/hive/backend"
    assert RegistryAddress.parse("r.example.com/hive").pull_name("backend") == "r.example.com/hive/backend"
