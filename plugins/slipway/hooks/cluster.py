"""The way to a Kubernetes cluster: a client with time limits, and its errors in sentences."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lightkube import Client

CONNECT_S = 3.0
ANSWER_S = 10.0
NOT_FOUND = 404
CONFLICT = 409
FIELD_MANAGER = "slipway"


@contextmanager
def connected(kubeconfig: str, context: str | None, namespace: str) -> Iterator[Client]:
    """Give a client for one namespace, and close its connections afterwards; nothing is asked yet.

    :param kubeconfig: path of the file.
    :param context: name in it; its current context when None.
    :raises ClusterError: the file is missing or has no such context.
    """
    from lightkube import Client, KubeConfig
    from lightkube.core.exceptions import ConfigError

    try:
        config = KubeConfig.from_file(Path(kubeconfig)).get(context)
    except (ConfigError, OSError, KeyError) as error:
        raise ClusterError(
            f"{kubeconfig}: no way to the cluster in it", found=f"{type(error).__name__}: {error}",
            mend="correct cluster.kubeconfig of the environment, or set the variable that it names",
        ) from error  # fmt: skip
    if config is None:
        raise ClusterError(
            f"{kubeconfig}: no context {context!r}", mend="kubectl config get-contexts lists those that there are"
        )
    client = Client(config=config, namespace=namespace, timeout=_timeout(), field_manager=FIELD_MANAGER)
    try:
        yield client
    finally:
        client.close()


def _timeout() -> Any:
    return _http().Timeout(ANSWER_S, connect=CONNECT_S)


def _http() -> Any:
    # lightkube has an HTTP library of its own (httpx2); its Timeout and its exceptions are not those of httpx.
    import httpx2

    return httpx2


@contextmanager
def worded(what: str) -> Iterator[None]:
    """Turn the client's exceptions into a ClusterError.

    :param what: what was being done, in the words of a log: "read Rollout shop/backend".
    """
    from lightkube.core.exceptions import ApiError

    try:
        yield
    except ApiError as error:
        status = error.status
        raise ClusterError(
            f"the API server refused to {what}", found=f"{status.code} {status.reason}: {status.message}"
        ) from error
    except _http().HTTPError as error:
        raise ClusterError(
            f"the API server did not answer while slipway tried to {what}",
            found=f"{type(error).__name__}: {error}", mend="look at the cluster and the way to it; slipway tries again",
        ) from error  # fmt: skip


def code_of(error: BaseException | None) -> int | None:
    """Return the status code behind a ClusterError, None when there was no answer."""
    from lightkube.core.exceptions import ApiError

    cause = error.__cause__ if error is not None else None
    return cause.status.code if isinstance(cause, ApiError) else None
