"""The state machine of a release: what may follow what, and what each state means for a person.

::

    PLANNED -> BUILT -> DEPLOYED -> MIGRATED -> MONITORED -> CANARY -> BAKING -> PROMOTED
       |         |         |            |           |  `--------------> ^  |         |
       |         `---------+------------+-----------+---------+---------+--'         |
       |         |                          ROLLING_BACK  <------- (by a person) ----'
       v         v                            |      ^ |
       CANCELLED             ROLLED_BACK <----'      | `--> ROLLBACK_FAILED
                                   ^                 `---------'  |
                                   `------------------------------'

The edge from MONITORED to BAKING is the first install: there is no stable version to share the traffic with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from slipway.names import ReleaseState as S

if TYPE_CHECKING:
    from collections.abc import Mapping

MAY_FOLLOW: Final[Mapping[S, frozenset[S]]] = {
    S.PLANNED: frozenset({S.BUILT, S.CANCELLED}),
    S.BUILT: frozenset({S.DEPLOYED, S.ROLLING_BACK, S.CANCELLED}),
    S.DEPLOYED: frozenset({S.MIGRATED, S.ROLLING_BACK}),
    S.MIGRATED: frozenset({S.MONITORED, S.ROLLING_BACK}),
    S.MONITORED: frozenset({S.CANARY, S.BAKING, S.ROLLING_BACK}),
    S.CANARY: frozenset({S.BAKING, S.ROLLING_BACK}),
    S.BAKING: frozenset({S.PROMOTED, S.ROLLING_BACK}),
    S.PROMOTED: frozenset({S.ROLLING_BACK}),
    S.ROLLING_BACK: frozenset({S.ROLLED_BACK, S.ROLLBACK_FAILED}),
    S.ROLLBACK_FAILED: frozenset({S.ROLLING_BACK, S.ROLLED_BACK}),
    S.ROLLED_BACK: frozenset(),
    S.CANCELLED: frozenset(),
}
"""What may follow each state. To stay where one is is not a transition."""

ENDED: Final = frozenset({S.PROMOTED, S.ROLLED_BACK, S.CANCELLED})
"""May the next release begin? In these states the lock is free."""

TERMINAL: Final = frozenset(state for state, following in MAY_FOLLOW.items() if not following)
"""Is the last word spoken? PROMOTED is not among them: a promoted release can still be taken back."""

CANCELLABLE: Final = frozenset(state for state, following in MAY_FOLLOW.items() if S.CANCELLED in following)
"""May the release be dropped without a rollback? Only while it has not begun to change the cluster."""

GOING_BACK: Final = frozenset({S.ROLLING_BACK, S.ROLLBACK_FAILED, S.ROLLED_BACK})
"""Has somebody decided against the release? Whoever still carries it forward must stop."""

FORWARD: Final = frozenset(S) - GOING_BACK - {S.CANCELLED}
"""States that a release reaches by going on; the others have operations of their own in the store."""

MEANING: Final[Mapping[S, str]] = {
    S.PLANNED: "Checked and planned; nothing was built, nothing was touched.",
    S.BUILT: "The images are in the registry; the cluster does not know them yet.",
    S.DEPLOYED: "The cluster holds the new version with no pod of it; no user has met it.",
    S.MIGRATED: "The database has the new schema; the old version runs on it.",
    S.MONITORED: "Dashboards, alerts and error tracking answer; no user has met the new version.",
    S.CANARY: "A part of the users is served by the new version, and it is watched.",
    S.BAKING: "All users are served by the new version; the old one stands by at full size.",
    S.PROMOTED: "The new version is the stable one. Going back is now a rollback by a person.",
    S.ROLLING_BACK: "The decision against the new version has fallen; traffic goes to the old one.",
    S.ROLLED_BACK: "The old version serves everybody again, and that was proved.",
    S.ROLLBACK_FAILED: "Going back was not proved. A person must look now; no other release can begin.",
    S.CANCELLED: "Given up before anything was touched.",
}
"""What a state means for a person who reads it at night."""


def may_follow(before: S, after: S) -> bool:
    """Say whether a release may go from one state directly to another."""
    return after in MAY_FOLLOW[before]


def is_terminal(state: S) -> bool:
    """Say whether nothing can follow."""
    return state in TERMINAL


def is_active(state: S) -> bool:
    """Say whether a release in this state is under way, so that no other may be."""
    return state not in ENDED
