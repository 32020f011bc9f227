"""Asks an image registry what it holds: manifests, configurations, sizes. Pushing is the builder's."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from slipway.errors import RegistryError
from slipway.images.facts import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    ImageFacts,
    facts_of,
    read_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Generator

TIMEOUT_S = 15.0
LARGEST_ANSWER_BYTES = 8_000_000
NOT_FOUND = 404
UNAUTHORIZED = 401
PLATFORM = ("linux", "amd64")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class Registry:
    """A client of one registry.

    :param host: host and port.
    :param is_plain_http: speak http.
    :param auth_file: where credentials are, in the format of `docker login`; found like skopeo finds it when left out.
    :param transport: for tests.
    """

    def __init__(
        self,
        host: str,
        *,
        is_plain_http: bool = False,
        auth_file: Path | None = None,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.host = host
        self._client = httpx.Client(
            base_url=f"{'http' if is_plain_http else 'https'}://{host}/v2/",
            timeout=timeout_s,
            auth=_RegistryAuth(credentials(host, auth_file)),
            transport=transport,
            # A company's proxy is for the world outside; a registry without TLS is inside.
            trust_env=not is_plain_http,
            follow_redirects=True,
        )

    def __enter__(self) -> Registry:
        """Return this client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def check(self) -> None:
        """Prove that a registry answers.

        :raises RegistryError: none does, or it lets us not in.
        """
        response = self._get("", "application/json")
        if response.status_code != httpx.codes.OK:
            raise self._refused("the registry", response)

    def inspect(self, repository: str, reference: str) -> ImageFacts | None:
        """Return what an image says of itself, or None when there is none of that name.

        :param repository: for example `hive-platform/backend`.
        :param reference: a tag, or a digest (`sha256:...`), which is checked against what comes.
        :raises RegistryError: the registry cannot answer, or answers something else than was asked for.
        """
        where = f"{self.host}/{repository}{'@' if ':' in reference else ':'}{reference}"
        found = self._manifest(repository, reference, where)
        if found is None:
            return None
        digest, content = found
        manifest = read_manifest(content, where)
        response = self._get(f"{repository}/blobs/{manifest.config_digest}", "*/*")
        if response.status_code != httpx.codes.OK:
            raise self._refused(f"the configuration of {where}", response)
        _require_digest(response.content, manifest.config_digest, f"the configuration of {where}")
        return facts_of(digest, manifest, response.content, where)

    def _manifest(self, repository: str, reference: str, where: str) -> tuple[str, bytes] | None:
        accept = ", ".join((DOCKER_MANIFEST, OCI_MANIFEST, DOCKER_LIST, OCI_INDEX))
        response = self._get(f"{repository}/manifests/{reference}", accept)
        if response.status_code == NOT_FOUND:
            return None
        if response.status_code != httpx.codes.OK:
            raise self._refused(where, response)
        digest = f"sha256:{hashlib.sha256(response.content).hexdigest()}"
        if ":" in reference:
            _require_digest(response.content, reference, where)
        if response.headers.get("content-type", "").partition(";")[0] not in (DOCKER_LIST, OCI_INDEX):
            return digest, response.content
        return self._manifest(repository, _of_platform(response.json(), where), where)

    def _get(self, path: str, accept: str) -> httpx.Response:
        try:
            response = self._client.get(path, headers={"Accept": accept})
        except httpx.HTTPError as error:
            raise RegistryError(
                f"the registry {self.host} does not answer",
                found=f"{type(error).__name__}: {error}",
                mend="look whether the registry runs, its name resolves, and http or https is what it speaks",
            ) from error
        if len(response.content) > LARGEST_ANSWER_BYTES:
            raise RegistryError(
                f"the registry {self.host} answers too much for a manifest or a configuration",
                found=f"{len(response.content)} bytes for {path}",
                mend="look what answers at this address",
            )
        return response

    def _refused(self, what: str, response: httpx.Response) -> RegistryError:
        is_closed = response.status_code in (UNAUTHORIZED, httpx.codes.FORBIDDEN)
        return RegistryError(
            f"{what} cannot be read from the registry {self.host}",
            found=f"HTTP {response.status_code}: {response.text[:200].strip()}",
            mend="log in: skopeo login REGISTRY" if is_closed else "look at the registry's log",
        )


def credentials(host: str, auth_file: Path | None = None) -> tuple[str, str] | None:
    """Return user and password for a registry, from where `docker login` and `skopeo login` leave them.

    :param host: host and port.
    :param auth_file: the file; the usual ones when left out.
    :raises RegistryError: the file is there and cannot be read.
    """
    for path in (auth_file,) if auth_file else _auth_files():
        if not path.is_file():
            continue
        try:
            entry = json.loads(path.read_text(encoding="utf-8")).get("auths", {}).get(host) or {}
            user, _, password = base64.b64decode(entry.get("auth", "")).decode().partition(":")
        except (OSError, ValueError, AttributeError) as error:
            raise RegistryError(
                f"the credentials in {path} cannot be read",
                found=type(error).__name__,
                mend=f"log in again: skopeo login --authfile {path} {host}",
            ) from error
        if user:
            return user, password
    return None


def login_file(folder: Path, host: str, user: str, password: str) -> Path:
    """Write credentials where only this process's user reads them, and return the file.

    :param folder: of the task, removed with it.
    :param host: host and port of the registry.
    """
    path = folder / "auth.json"
    entry = {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump({"auths": {host: entry}}, file)
    return path


def _auth_files() -> list[Path]:
    named = os.environ.get("REGISTRY_AUTH_FILE")
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    docker = os.environ.get("DOCKER_CONFIG", str(Path.home() / ".docker"))
    return [Path(named)] if named else [Path(runtime) / "containers/auth.json", Path(docker) / "config.json"]


class _RegistryAuth(httpx.Auth):
    """Basic where that is asked for, else the token that the registry's own service hands out."""

    requires_response_body = True

    def __init__(self, user_and_password: tuple[str, str] | None) -> None:
        self._basic = httpx.BasicAuth(*user_and_password) if user_and_password else None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request; where it is refused with a challenge, answer that and send it again."""
        response = yield request
        challenge = response.headers.get("www-authenticate", "")
        if response.status_code != UNAUTHORIZED or not challenge:
            return
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic" and self._basic:
            yield next(self._basic.auth_flow(request))
        elif scheme.lower() == "bearer":
            asked = dict(_CHALLENGE.findall(rest))
            realm = asked.pop("realm", "")
            # A password that was given to a registry behind TLS does not travel on without it.
            if not realm or (request.url.scheme == "https" and not realm.startswith("https://")):
                return
            wanted = httpx.Request("GET", realm, params=asked)
            answer = yield (next(self._basic.auth_flow(wanted)) if self._basic else wanted)
            if answer.status_code == httpx.codes.OK:
                token = answer.json()
                request.headers["Authorization"] = f"Bearer {token.get('token') or token.get('access_token')}"
                yield request


def _require_digest(content: bytes, digest: str, where: str) -> None:
    found = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if found != digest:
        raise RegistryError(
            f"{where} is not what its digest says",
            found=f"{found}, wanted {digest}",
            mend="do not use this registry until it is clear what changed the content",
        )


def _of_platform(index: dict[str, Any], where: str) -> str:
    for one in index.get("manifests", []):
        platform = one.get("platform", {})
        if (platform.get("os"), platform.get("architecture")) == PLATFORM:
            return str(one["digest"])
    raise RegistryError(
        f"{where} has no image for {'/'.join(PLATFORM)}",
        found=f"{len(index.get('manifests', []))} images of other platforms",
        mend="push the image for the platform of the nodes",
    )
