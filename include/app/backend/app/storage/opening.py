"""Open a tree by its root URL: file:///path, or webhdfs://USER@NAMENODE:9870/path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.webhdfs import WebHDFS
from requests.adapters import HTTPAdapter

from app.errors import StorageRefusedError
from app.storage.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from urllib.parse import SplitResult

    import requests

DEFAULT_WEBHDFS_PORT = 9870
FIRST_ERROR_STATUS = 400


def open_tree(root_url: str, allowed: Sequence[str], timeout_s: float) -> Tree:
    """Open the tree of a cluster.

    :param allowed: URL prefixes of APP_STORAGE_ROOTS.
    :param timeout_s: longest wait for a connection and for each answer.
    :raises StorageRefusedError: not below an allowed root, or an unknown kind of tree.
    """
    check_root(root_url, allowed)
    parts = urlsplit(root_url)
    return _OPENERS[parts.scheme](parts, timeout_s)


def check_root(root_url: str, allowed: Sequence[str]) -> None:
    """Refuse a root that the settings do not name: otherwise the API could be sent to read any file or host.

    :raises StorageRefusedError: says what is allowed.
    """
    try:
        parts = urlsplit(root_url)
        _ = parts.port
    except ValueError:
        raise StorageRefusedError("root_url: cannot be read as a URL") from None
    if parts.scheme not in _OPENERS:
        raise StorageRefusedError(f"root_url: unknown kind of tree, expected one of: {', '.join(sorted(_OPENERS))}")
    if ".." in parts.path.split("/") or "%" in parts.path or parts.query or parts.fragment:
        raise StorageRefusedError("root_url: expected a plain path without .., %, query or fragment")
    whole = root_url.rstrip("/") + "/"
    if not any(whole.startswith(root.rstrip("/") + "/") for root in allowed):
        named = ", ".join(allowed) or "none"
        raise StorageRefusedError(f"root_url: not below a tree of APP_STORAGE_ROOTS ({named})")


def _local(parts: SplitResult, timeout_s: float) -> Tree:  # noqa: ARG001 - a disk has none
    return Tree(LocalFileSystem(), parts.path)


def _webhdfs(parts: SplitResult, timeout_s: float) -> Tree:
    filesystem = WebHDFS(
        parts.hostname or "",
        port=parts.port or DEFAULT_WEBHDFS_PORT,
        user=parts.username,
        # Two clusters with other timeouts, or a forked process, must not share one session.
        skip_instance_cache=True,
    )
    adapter = _TimedAdapter(timeout_s)
    filesystem.session.mount("http://", adapter)
    filesystem.session.mount("https://", adapter)
    filesystem.session.hooks["response"].append(_refuse_error_as_content)
    return Tree(filesystem, parts.path)


class _TimedAdapter(HTTPAdapter):
    """Gives every request a timeout: without one, a silent datanode would hold a worker for ever."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        super().__init__()

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send with our timeout."""
        options["timeout"] = self._timeout_s
        return super().send(request, **options)


def _refuse_error_as_content(response: requests.Response, **_: Any) -> None:
    # The library takes whatever a datanode answers for the content of the file, error pages too.
    if response.status_code >= FIRST_ERROR_STATUS and _operation(response.url) == "OPEN":
        response.raise_for_status()


def _operation(url: str) -> str:
    return parse_qs(urlsplit(url).query).get("op", [""])[0].upper()


_OPENERS: dict[str, Callable[[SplitResult, float], Tree]] = {"file": _local, "webhdfs": _webhdfs}
