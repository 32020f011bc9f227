"""Whose requests a canary is judged by: the users' own, slipway's, or, where the environment waives that, nobody's."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from slipway.names import EventKind
from slipway.spec.environment import SyntheticLoad, WaivedLoad

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.flow.site import Site
    from slipway.hooks.load import Load
    from slipway.ledger.store import Store

log = logging.getLogger(__name__)
AGENT = "slipway-synthetic/1"
"""The User-Agent of what slipway sends; behind it stands the release."""
WAIVER = "waived:canary.load"
"""Key of the event that tells of a waived load."""


@contextmanager
def made(site: Site, release_id: str) -> Iterator[Load | None]:
    """Send slipway's own requests while the block lasts, where the environment asks for them.

    None where it does not; a waived load is said aloud.
    """
    asked = site.environment.canary.load
    if isinstance(asked, WaivedLoad):
        log.warning("WAIVED: %s", waiver(site))
    if not isinstance(asked, SyntheticLoad):
        yield None
        return
    from slipway.hooks.load import sending
    from slipway.hooks.sender import Order

    url = site.here.url
    order = Order(
        url, site.spec.synthetic_paths, asked.requests_per_s, f"{AGENT} ({release_id})",
        ca=site.environment.network.ca_file, address=site.address(url),
    )  # fmt: skip
    with sending(order, log.info) as load:
        yield load


def described(site: Site) -> str:
    """Return whose requests the canary is judged by, in a line."""
    asked = site.environment.canary.load
    if isinstance(asked, SyntheticLoad):
        paths = ", ".join(site.spec.synthetic_paths)
        return f"slipway's own, {asked.requests_per_s:g} requests/s while it watches ({paths}), and the users'"
    if isinstance(asked, WaivedLoad):
        return f"WAIVED: {waiver(site)}"
    return "the users' own requests"


def waiver(site: Site) -> str:
    """Return what a waived load means, with its reason and its end; "" when it is not waived."""
    asked = site.environment.canary.load
    if not isinstance(asked, WaivedLoad):
        return ""
    return (
        f"no requests are asked for, the canary is judged by its pods, until {asked.until.isoformat()}, because: "
        f"{asked.reason}"
    )


def record_waiver(site: Site, store: Store, release_id: str) -> None:
    """Tell the ledger of a waived load, once a release; nothing to tell where it is not waived."""
    asked = site.environment.canary.load
    if not isinstance(asked, WaivedLoad):
        return
    payload = {
        "what": "load of the canary", "reason": asked.reason, "until": asked.until.isoformat(),
        "by": f"environment {site.environment.name}", "text": waiver(site),
    }  # fmt: skip
    store.append(release_id, EventKind.WAIVED, payload, key=WAIVER)
    log.warning("WAIVED: %s", waiver(site))
