"""Report errors to Sentry: which release, which environment, no personal data, no secret."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

import sentry_sdk
from sentry_sdk.integrations.logging import LoggingIntegration

if TYPE_CHECKING:
    from collections.abc import Callable

    from sentry_sdk.types import Event, Hint

    from app.redaction import Redactor
    from app.release import Release
    from app.settings import Settings

_KEPT_OF_REQUEST = ("method", "url")
_DROPPED = ("user", "modules")


def start_sentry(settings: Settings, release: Release, component: str, redactor: Redactor) -> None:
    """Start reporting when a DSN is set; without one nothing leaves the process.

    :param component: api, worker, beat or migrate; becomes a tag.
    """
    if settings.sentry_dsn is None:
        return
    sentry_sdk.init(
        dsn=settings.sentry_dsn.get_secret_value(),
        release=f"hive-platform@{release.version}",
        environment=settings.environment,
        sample_rate=settings.sentry_sample_rate,
        traces_sample_rate=0,
        send_default_pii=False,
        include_local_variables=False,  # frames hold settings and rows
        max_request_body_size="never",
        before_send=scrubber(redactor),
        before_breadcrumb=lambda crumb, _hint: cast("dict[str, object]", redactor.tree(crumb)),
        # Only exceptions and explicit errors; a log line of another library is no event.
        integrations=[LoggingIntegration(level=logging.INFO, event_level=None)],
        shutdown_timeout=2,
    )
    sentry_sdk.set_tag("component", component)


def scrubber(redactor: Redactor) -> Callable[[Event, Hint], Event]:
    """Return the last hand on an event: no user, cookies, headers, query or body, and no secret."""

    def scrub(event: Event, hint: Hint) -> Event:  # noqa: ARG001 - the signature is Sentry's
        fields = {key: value for key, value in event.items() if key not in _DROPPED}
        request = fields.get("request")
        if isinstance(request, dict):
            fields["request"] = {key: str(request[key]).split("?")[0] for key in _KEPT_OF_REQUEST if key in request}
        return cast("Event", redactor.tree(fields))

    return scrub
