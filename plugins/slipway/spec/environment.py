"""An environment: where a release goes, who has to agree, and what a canary has to stand there."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from slipway.names import Channel, EnvironmentKind
from slipway.spec.findings import refusal
from slipway.spec.model import HostName, HttpUrl, Label, ProjectPath, Reference, Seconds, Sentence, Spec, build, rule
from slipway.spec.production import refusals
from slipway.spec.reading import parse, read

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.spec.findings import Finding
    from slipway.spec.reading import Document


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise rule("not a time zone of the IANA list, such as Asia/Shanghai") from None
    return name


def _clock(text: str) -> str:
    try:
        time.fromisoformat(text)
    except ValueError:
        raise rule('not a time of day in quotes, such as "18:30"') from None
    return text


Address = Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$")]
Clock = Annotated[str, Field(pattern=r"^[0-2][0-9]:[0-5][0-9]$"), AfterValidator(_clock)]
RegistryPrefix = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9][a-z0-9._-]*)*$", max_length=200)
]


class Cluster(Spec):
    """The Kubernetes cluster."""

    kubeconfig: Reference | None = Field(
        default=None,
        description="Where the kubeconfig lies: a file, or a variable that names it; none: slipway's own pod.",
    )
    context: str | None = Field(
        default=None,
        pattern=r"^[\w.:/@-]+$",
        max_length=200,
        description="Context of the kubeconfig; none: its current one.",
    )
    namespace: Label = Field(description="Namespace of the applications; nothing else tells environments apart.")


class Network(Spec):
    """How slipway reaches addresses of this environment."""

    ca_file: str | None = Field(
        default=None, pattern=r"^/[\w./+-]+$", description="Certificates of its authority; none: the system's."
    )
    addresses: dict[HostName, Address] = Field(
        default_factory=dict, description="Where a host is reached that the machine's own name service does not know."
    )


class Registry(Spec):
    """Where images lie."""

    prefix: RegistryPrefix = Field(description="HOST[:PORT][/PATH] as pods pull from it.")
    push_to: RegistryPrefix | None = Field(default=None, description="The same registry as it is reached for a push.")
    insecure: bool = Field(default=False, description="Plain http; refused in production.")
    credentials: Reference | None = Field(default=None, description="Where user and password lie; none: no login.")

    def repository(self, application: str, image: str) -> str:
        """Return the repository of an image, without a tag, as pods know it."""
        return f"{self.prefix}/{application}/{image}"

    def push_repository(self, application: str, image: str) -> str:
        """Return the repository of an image as it is reached for a push."""
        return f"{self.push_to or self.prefix}/{application}/{image}"


class Helm(Spec):
    """How Helm is called."""

    timeout_s: Seconds = Field(default=300, description="Longest call of Helm.")
    history_max: int = Field(default=20, ge=2, le=1000, description="Revisions that Helm keeps; going back needs them.")


class Approval(Spec):
    """Whether a person has to agree."""

    required: bool = Field(description="Ask before anything is built.")
    approvers: tuple[Annotated[str, Field(pattern=r"^[\w.@+-]{1,100}$")], ...] = Field(
        default=(), description="Who may agree: names of Airflow's users."
    )
    timeout_s: Seconds = Field(default=86400, description="No answer within this is a no.")

    @model_validator(mode="after")
    def _somebody_may_agree(self) -> Self:
        if self.required and not self.approvers:
            raise rule("an approval is required, but nobody may give it: name approvers")
        return self


class FreezePeriod(Spec):
    """A stretch of time without releases."""

    start: AwareDatetime = Field(description='First moment, in quotes with its zone: "2026-12-31T18:00:00+08:00".')
    end: AwareDatetime = Field(description="First moment after it.")
    reason: Sentence = Field(description="Why; the refusal says it.")

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Self:
        if self.end <= self.start:
            raise rule("a freeze ends after its start")
        return self

    def holds(self, moment: datetime) -> bool:
        """Say whether a moment is inside."""
        return self.start <= moment < self.end


Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class FreezeWeekly(Spec):
    """Hours of every week without releases. An end at or before the start is on the next day."""

    days: tuple[Day, ...] = Field(min_length=1, description="Days on which it starts: mon tue wed thu fri sat sun.")
    start: Clock = Field(description='Time of day in quotes: "18:00".')
    end: Clock = Field(description="First minute after it.")
    time_zone: Annotated[str, AfterValidator(_zone)] = Field(description="Zone of the times: Asia/Shanghai.")
    reason: Sentence = Field(description="Why; the refusal says it.")

    def holds(self, moment: datetime) -> bool:
        """Say whether a moment is inside."""
        here = moment.astimezone(ZoneInfo(self.time_zone))
        start, end, now = time.fromisoformat(self.start), time.fromisoformat(self.end), here.time()
        today, yesterday = _DAYS[here.weekday()], _DAYS[here.weekday() - 1]
        if start < end:
            return today in self.days and start <= now < end
        return (today in self.days and now >= start) or (yesterday in self.days and now < end)


class Freezes(Spec):
    """When nothing is released."""

    periods: tuple[FreezePeriod, ...] = Field(default=(), description="Single stretches of time.")
    weekly: tuple[FreezeWeekly, ...] = Field(default=(), description="Hours of every week.")

    def reason_at(self, moment: datetime) -> str | None:
        """Return why nothing is released at a moment, or None.

        :param moment: with its time zone.
        """
        freezes: tuple[FreezePeriod | FreezeWeekly, ...] = (*self.periods, *self.weekly)
        for freeze in freezes:
            if freeze.holds(moment):
                return freeze.reason
        return None


class Waiver(Spec):
    """Something that is not asked for, for a reason and for a time. Production admits none."""

    reason: Sentence = Field(description="Why; log and dossier say it.")
    until: date = Field(description='Last day on which it holds, in quotes: "2026-12-31".')


class LiveLoad(Spec):
    """The users are the load."""

    kind: Literal["live"] = Field(description="live: the users' own requests.")


class SyntheticLoad(Spec):
    """slipway is the load: it sends requests to both versions."""

    kind: Literal["synthetic"] = Field(
        description="synthetic: slipway sends GETs to the application's own address while it watches, so the router "
        "gives either version its share."
    )
    requests_per_s: Annotated[float, Field(gt=0, le=1000)] = Field(
        description="Requests a second, all together; enough for a verdict at each weight without a user, or refused."
    )


class WaivedLoad(Waiver):
    """The canary is judged by its pods alone."""

    kind: Literal["waived"] = Field(
        description="waived: no requests are asked for; the canary is judged by its pods, which have to be ready for "
        "the whole hold, and by what requests there are."
    )


Load = Annotated[LiveLoad | SyntheticLoad | WaivedLoad, Field(discriminator="kind")]


WEIGHTS = (10, 50, 100)
"""Where a Rollout stops with traffic (`slipway.canary.plan`); each has a step, in this order."""


class CanaryStep(Spec):
    """A share of the traffic, and how long the canary has to stand it."""

    weight: int = Field(ge=1, le=100, description="Percent of the requests.")
    hold_s: Seconds = Field(description="Least time at this weight.")
    min_requests: int | None = Field(
        default=None, ge=1, le=10_000_000, description="Least requests to the canary here; none: that of the limits."
    )
    deadline_s: Seconds | None = Field(
        default=None, description="How long after the hold missing data are waited for; none: that of the limits."
    )


class CanaryLimits(Spec):
    """What makes a canary bad. The names are those of the judge."""

    max_error_rate: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.05, description="A greater share of errors is bad."
    )
    max_latency_ratio: Annotated[float, Field(gt=1, le=100)] = Field(
        default=1.5, description="A P95 of more than this times the stable version's is bad."
    )
    latency_floor_s: Seconds = Field(
        default=0, description="Nothing below it is slow, however many times the stable version's P95 it is."
    )
    min_requests: int = Field(
        default=50, ge=1, le=10_000_000, description="Fewer requests to the canary prove nothing."
    )
    min_requests_latency: int = Field(
        default=200, ge=1, le=10_000_000, description="The same for the P95 of each version."
    )
    min_tasks: int = Field(default=20, ge=1, le=1_000_000, description="Fewer tasks of a follower prove nothing.")
    alpha: Annotated[float, Field(gt=0, le=0.1)] = Field(
        default=0.001, description="Probability that a good canary is taken back in one step, over all looks and tests."
    )
    gross_error_rate: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.5, description="A greater share of errors is bad after a handful of requests."
    )
    gross_min_requests: int = Field(default=10, ge=5, le=10_000, description="That handful.")
    no_data_deadline_s: Seconds = Field(default=300, description="How long after a hold missing data are waited for.")
    no_metrics_deadline_s: Seconds = Field(default=300, description="How long Prometheus may be silent.")
    pods_deadline_s: Seconds = Field(default=60, description="How long a canary's pod may be not Ready.")
    max_restarts: int = Field(default=0, ge=0, le=100, description="Restarts of a canary's pod that are forgiven.")
    poll_s: Annotated[float, Field(gt=0, le=60)] = Field(default=1, description="Seconds between two looks.")

    @model_validator(mode="after")
    def _gross_is_more(self) -> Self:
        if self.gross_error_rate <= self.max_error_rate:
            raise rule("gross_error_rate has to be more than max_error_rate")
        return self


class CanaryPolicy(Spec):
    """The canary."""

    steps: tuple[CanaryStep, ...] = Field(
        min_length=1,
        max_length=10,
        description="The weights 10, 50 and 100, in this order; the hold of 100 is retain_s.",
    )
    limits: CanaryLimits = Field(default_factory=CanaryLimits, description="What makes a canary bad.")
    retain_s: Seconds = Field(
        description="Bake: how long the old version is kept at full size after 100 %, so that going back is one patch."
    )
    first_install_hold_s: Seconds = Field(default=60, description="How long the very first version is watched.")
    unattended_max_s: float = Field(
        default=1800,
        ge=60,
        le=86400,
        description="A canary without a sign of life of slipway is taken back by the cluster after this; it needs "
        "kube-state-metrics there.",
    )
    load: Load = Field(description="Whose requests the canary is judged by.")

    @model_validator(mode="after")
    def _as_the_rollout(self) -> Self:
        if tuple(step.weight for step in self.steps) != WEIGHTS:
            raise rule("steps: the weights are 10, 50 and 100, those of the Rollout's steps")
        return self

    def limits_of(self, step: CanaryStep) -> dict[str, Any]:
        """Return the limits of one step, under the judge's names."""
        changed = {"min_requests": step.min_requests, "no_data_deadline_s": step.deadline_s}
        return {**self.limits.model_dump(), **{name: value for name, value in changed.items() if value is not None}}


class ImageScan(Spec):
    """The gate for vulnerabilities. It fails closed: no database, or an old one, is a no."""

    severities: tuple[Literal["LOW", "MEDIUM", "HIGH", "CRITICAL"], ...] = Field(
        default=("HIGH", "CRITICAL"), min_length=1, description="What is not let through."
    )
    ignore_unfixed: bool = Field(default=False, description="Let through what nobody has mended yet.")
    max_database_age_h: Annotated[float, Field(gt=0, le=8760)] = Field(
        default=48, description="An older database of vulnerabilities says nothing."
    )
    waived: Waiver | None = Field(
        default=None, description="No scan is asked for; refused in production and when expired."
    )


class Notifications(Spec):
    """Where messages go: Airflow connections or variables, which hold address and secret."""

    dingtalk: Reference | None = Field(default=None, description="The DingTalk robot.")
    slack: Reference | None = Field(default=None, description="The Slack webhook.")
    email: Reference | None = Field(default=None, description="The mail server, with sender and recipients.")

    def channels(self) -> dict[Channel, Reference]:
        """Return the channels that are there."""
        every = {Channel.DINGTALK: self.dingtalk, Channel.SLACK: self.slack, Channel.EMAIL: self.email}
        return {channel: reference for channel, reference in every.items() if reference is not None}


class Monitoring(Spec):
    """The eyes of a release."""

    prometheus_url: HttpUrl = Field(description="Prometheus.")
    prometheus_credentials: Reference | None = Field(default=None, description="Where its token lies; none: no login.")
    scrape_interval_s: Annotated[float, Field(gt=0, le=300)] = Field(
        default=15, description="How often pods are read; a canary's may be read more often."
    )
    namespace: Label = Field(default="monitoring", description="Namespace of the stack.")
    alertmanager_url: HttpUrl | None = Field(default=None, description="Alertmanager; none: not asked.")
    grafana_url: HttpUrl | None = Field(default=None, description="Grafana; none: not asked.")
    loki_url: HttpUrl | None = Field(default=None, description="Loki; none: not asked.")
    sentry_url: HttpUrl | None = Field(default=None, description="Sentry; none: not asked.")
    sentry_credentials: Reference | None = Field(default=None, description="Where the token for reading back lies.")
    values: tuple[ProjectPath, ...] = Field(default=(), description="Overlays of the stack's chart, in order.")


class Backups(Spec):
    """What is kept of the database."""

    directory: str = Field(
        pattern=r"^(file|s3|gs|abfs)://[\w./+-]+$", max_length=400, description="Where backups are put."
    )
    keep: int = Field(default=7, ge=1, le=1000, description="Verified backups that are kept; the last one never goes.")


class Database(Spec):
    """The application's PostgreSQL, for backup, checks and migration."""

    connection: Reference = Field(description="Where the address and the password of a reader lie.")
    host: HostName = Field(description="Server that the connection has to lead to.")
    port: int = Field(default=5432, ge=1, le=65535, description="Its port.")
    name: str = Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$", description="Database that the connection has to lead to.")
    scratch: Reference | None = Field(
        default=None, description="Server on which backups are restored and migrations rehearsed; none: the same one."
    )
    rehearsal_rows: int = Field(
        default=1_000_000,
        ge=0,
        le=10**9,
        description="The copy is filled up to this, so that a rehearsal means something.",
    )
    backups: Backups = Field(description="What is kept.")


class ApplicationHere(Spec):
    """One application in this environment."""

    url: HttpUrl = Field(description="Where users find it; its host is given to the chart.")
    namespace: Label | None = Field(default=None, description="Its own namespace; none: that of the cluster.")
    values: tuple[ProjectPath, ...] = Field(default=(), description="Overlays of the chart's values, in order.")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="The application's own settings, in groups; the last word over the overlays."
    )
    database: Database | None = Field(default=None, description="Its database; none: it has none.")

    @property
    def host(self) -> str:
        """Return the host of the address."""
        return self.url.split("://", 1)[1].split("/", 1)[0].split(":", 1)[0]


class Environment(Spec):
    """Where a release goes."""

    name: Label = Field(description="Name of the environment, and of this file.")
    kind: EnvironmentKind = Field(description="How strict it is: production, staging or local.")
    cluster: Cluster = Field(description="The Kubernetes cluster.")
    network: Network = Field(default_factory=Network, description="How slipway reaches its addresses.")
    registry: Registry = Field(description="Where images lie.")
    helm: Helm = Field(default_factory=Helm, description="How Helm is called.")
    approval: Approval = Field(description="Whether a person has to agree.")
    freezes: Freezes = Field(default_factory=Freezes, description="When nothing is released.")
    canary: CanaryPolicy = Field(description="The canary.")
    scan: ImageScan = Field(default_factory=ImageScan, description="The gate for vulnerabilities.")
    ledger: Reference = Field(description="Where the address of slipway's own database lies.")
    notifications: Notifications = Field(default_factory=Notifications, description="Where messages go.")
    monitoring: Monitoring = Field(description="The eyes of a release.")
    airflow_url: HttpUrl | None = Field(default=None, description="Airflow, for links in messages.")
    applications: dict[Label, ApplicationHere] = Field(
        min_length=1, description="The applications that may be released here."
    )

    def application(self, name: str) -> ApplicationHere:
        """Return an application of this environment.

        :raises KeyError: it is not released here.
        """
        return self.applications[name]

    def namespace_of(self, application: str) -> str:
        """Return the namespace of an application."""
        return self.applications[application].namespace or self.cluster.namespace

    def freeze_reason(self, moment: datetime) -> str | None:
        """Return why nothing is released at a moment (with its time zone), or None."""
        return self.freezes.reason_at(moment)


def load_environment(path: Path, name: str | None = None, *, today: date | None = None) -> Environment:
    """Read an environment.

    :param name: how findings name the file; its path when left out.
    :param today: the day on which waivers have to hold; the current one in UTC when left out.
    :raises SpecError: with every finding.
    """
    document = read(path, name)
    made, findings = build(Environment, document)
    if made is not None:
        if made.name != path.stem:
            found, allowed = repr(made.name), path.stem
            findings.append(document.finding(("name",), "not the name of the file", found=found, allowed=allowed))
        findings += _expired(made, document, today or datetime.now(UTC).date())
        findings += refusals(made.kind, document)
    if made is None or findings:
        raise refusal("the environment", findings)
    return made


def frozen_environment(text: str) -> Environment:
    """Read an environment as the ledger has kept it: of a release that is under way.

    A waiver that expires on the way is not looked at again: the release must also find its way back.

    :raises SpecError: it is none; a version of slipway that is too old or too new.
    """
    made, findings = build(Environment, parse(text.encode(), "the environment in the ledger"))
    if made is None:
        raise refusal("the environment in the ledger", findings)
    return made


def _expired(made: Environment, document: Document, today: date) -> list[Finding]:
    waivers: list[tuple[tuple[str, ...], Waiver]] = []
    if isinstance(made.canary.load, WaivedLoad):
        waivers.append((("canary", "load", "until"), made.canary.load))
    if made.scan.waived is not None:
        waivers.append((("scan", "waived", "until"), made.scan.waived))
    return [
        document.finding(
            path, "the waiver has expired", found=waiver.until.isoformat(),
            allowed=f"{today.isoformat()} or later, or no waiver",
        )
        for path, waiver in waivers
        if waiver.until < today
    ]  # fmt: skip
