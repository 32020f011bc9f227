"""Every name that crosses a process: states, verdicts, events, channels. Renaming one is a migration."""

from __future__ import annotations

from enum import StrEnum


class ReleaseState(StrEnum):
    """Where a release stands; `slipway.ledger.states` says which may follow which."""

    PLANNED = "PLANNED"
    BUILT = "BUILT"
    DEPLOYED = "DEPLOYED"
    MIGRATED = "MIGRATED"
    MONITORED = "MONITORED"
    CANARY = "CANARY"
    BAKING = "BAKING"
    PROMOTED = "PROMOTED"
    ROLLING_BACK = "ROLLING_BACK"
    ROLLED_BACK = "ROLLED_BACK"
    ROLLBACK_FAILED = "ROLLBACK_FAILED"
    CANCELLED = "CANCELLED"


class Verdict(StrEnum):
    """What the judge says of a canary at one moment. HOLD is neither: wait, or run into the deadline."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    HOLD = "HOLD"


class Rule(StrEnum):
    """The rule that decided; it stands in verdicts, alerts and dossiers."""

    ERROR_RATE = "ERROR_RATE"
    ERROR_RATE_VS_STABLE = "ERROR_RATE_VS_STABLE"
    LATENCY_P95 = "LATENCY_P95"
    GROSS_FAILURE = "GROSS_FAILURE"
    CANARY_UNAVAILABLE = "CANARY_UNAVAILABLE"
    TAKEN_BACK = "TAKEN_BACK"
    POD_RESTARTS = "POD_RESTARTS"
    TRAFFIC_SHARE = "TRAFFIC_SHARE"
    FOLLOWER_TASKS = "FOLLOWER_TASKS"
    NOT_ENOUGH_DATA = "NOT_ENOUGH_DATA"
    NO_METRICS = "NO_METRICS"
    SMOKE_TEST = "SMOKE_TEST"


class AbortedBy(StrEnum):
    """Whose abort it was."""

    SLIPWAY = "slipway"
    DEAD_MAN_SWITCH = "dead-man-switch"
    WATCHDOG = "watchdog"
    PERSON = "person"
    ARGO = "argo-rollouts"


class EventKind(StrEnum):
    """What an event of the ledger tells."""

    PLANNED = "planned"
    APPROVED = "approved"
    STATE_CHANGED = "state-changed"
    LEASED = "leased"
    FENCED = "fenced"
    IMAGE_BUILT = "image-built"
    DEPLOYED = "deployed"
    MIGRATED = "migrated"
    MONITORED = "monitored"
    STEP_STARTED = "step-started"
    VERDICT = "verdict"
    INTENDED = "intended"
    PROMOTED = "promoted"
    ABORTED = "aborted"
    ROLLBACK_STARTED = "rollback-started"
    ROLLBACK_FINISHED = "rollback-finished"
    ROLLBACK_FAILED = "rollback-failed"
    TRUTH_PROVED = "truth-proved"
    NOTIFIED = "notified"
    WAIVED = "waived"
    NOTED = "noted"


class Occasion(StrEnum):
    """What a notification is about."""

    STARTED = "started"
    APPROVAL_WANTED = "approval-wanted"
    PROMOTED = "promoted"
    ABORTED = "aborted"
    ROLLBACK_FINISHED = "rollback-finished"
    ROLLBACK_FAILED = "rollback-failed"


class Channel(StrEnum):
    """Where notifications go."""

    DINGTALK = "dingtalk"
    SLACK = "slack"
    EMAIL = "email"


class EnvironmentKind(StrEnum):
    """How strict an environment is; production admits no waiver."""

    PRODUCTION = "production"
    STAGING = "staging"
    LOCAL = "local"


POD_TEMPLATE_HASH = "rollouts-pod-template-hash"
"""Label that Argo Rollouts puts on the pods of one version."""
POD_TEMPLATE_HASH_METRIC = "rollouts_pod_template_hash"
"""The same as a label of a metric, through `podTargetLabels` of the PodMonitor."""
