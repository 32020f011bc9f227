"""The release spec: what slipway has to know of an application. It knows none by name; include/releases/ does."""

from __future__ import annotations

import re
from enum import StrEnum
from string import Template
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from slipway.names import POD_TEMPLATE_HASH_METRIC, EnvironmentKind
from slipway.spec.findings import refusal
from slipway.spec.model import HttpUrl, Label, ProjectPath, Seconds, Sentence, Spec, ValuesPath, build, rule
from slipway.spec.reading import parse, read

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class BuildFact(StrEnum):
    """What a build argument may be given."""

    VERSION = "version"
    REVISION = "revision"
    CREATED = "created"


_PLACES = frozenset({"namespace", "hash"})


def _query(text: str) -> str:
    template = Template(text)
    if not template.is_valid() or not set(template.get_identifiers()) <= _PLACES:
        raise rule("in a query, $ begins $namespace or $hash; a $ of a regular expression is written $$")
    if "hash" not in template.get_identifiers():
        raise rule("the query tells no version from another: it has to contain $hash")
    return text


def _router_query(text: str) -> str:
    template = Template(text)
    if not template.is_valid() or not set(template.get_identifiers()) <= {"namespace"}:
        raise rule("in a query of the router, $ begins $namespace; a $ of a regular expression is written $$")
    return text


_Text = Annotated[str, Field(min_length=3, max_length=2000)]
Query = Annotated[_Text, AfterValidator(_query)]
"""PromQL with $namespace and $hash (the pod-template hash of one version)."""
RouterQuery = Annotated[_Text, AfterValidator(_router_query)]
MetricName = Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$", max_length=200)]
LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=200)]
BuildArgument = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$", max_length=100)]
UrlPath = Annotated[str, Field(pattern=r"^/[\w./~%?&=+,:-]*$", max_length=500)]
SecretKey = Annotated[str, Field(pattern=r"^[\w.-]+$", max_length=253)]


def fill(query: str, *, namespace: str, pod_hash: str = "") -> str:
    """Return a query of a spec for one version in one namespace.

    :param pod_hash: pod-template hash of the version.
    :raises ValueError: what is filled in is no name, and would change the query's meaning.
    """
    for value in (namespace, pod_hash):
        if not re.fullmatch(r"[A-Za-z0-9-]*", value):
            raise ValueError(f"not a name that may stand in a query: {value[:80]!r}")
    return Template(query).substitute(namespace=namespace, hash=pod_hash)


class ChartValues(Spec):
    """Where the chart takes what slipway decides; a chart without such a value leaves the key out."""

    host: ValuesPath | None = Field(
        default=None, description="Value that is given the host of the application's address."
    )
    secret_name: ValuesPath | None = Field(
        default=None, description="Value that is given the name of the Kubernetes Secret."
    )
    first_install: ValuesPath | None = Field(
        default=None, description="Truth value: the first installation waits at 0 pods until the migration is done."
    )
    unattended_max: ValuesPath | None = Field(
        default=None, description="Value of the dead man's switch that is given canary.unattended_max_s."
    )


class Chart(Spec):
    """The Helm chart."""

    path: ProjectPath = Field(description="Folder of the chart, from the project's root.")
    release_name: Label = Field(description="Helm's release name, the same in every environment.")
    values: ChartValues = Field(default_factory=ChartValues, description="Where the chart takes what slipway decides.")


class Feed(Spec):
    """One component of the chart that runs an image."""

    component: Label = Field(description="Its name, as app.kubernetes.io/component says it.")
    repository: ValuesPath = Field(description="Chart value that is given the image's repository, without a tag.")
    digest: ValuesPath = Field(description="Chart value that is given the image's digest.")
    version: ValuesPath | None = Field(default=None, description="Chart value that is given the version, for a label.")


class Image(Spec):
    """An image that is built, and the components that run it."""

    name: Label = Field(description="Name of the image below the registry's prefix and the application's name.")
    context: ProjectPath = Field(description="Folder that is built.")
    dockerfile: ProjectPath = Field(description="The Dockerfile, from the project's root.")
    max_compressed_mb: int = Field(
        ge=1, le=100_000, description="The gate: sum of the compressed layers, in units of 1,000,000 bytes."
    )
    user: str = Field(
        pattern=r"^[0-9]{1,10}(:[0-9]{1,10})?$", description='The gate: numeric user that the image says: "10001".'
    )
    healthcheck: bool = Field(default=True, description="The gate: the image says how its health is asked.")
    arguments: dict[BuildArgument, BuildFact] = Field(
        default_factory=dict, description="Build arguments: NAME: version, revision or created."
    )
    drill_argument: BuildArgument | None = Field(
        default=None,
        description="Build argument for the share of requests that fail on purpose: rehearsals only.",
    )
    feeds: tuple[Feed, ...] = Field(min_length=1, description="Components that run this image.")


class Metrics(Spec):
    """What Prometheus knows of the workload, as counters since the start of each pod; slipway takes differences."""

    requests: Query = Field(description="Requests of one version, by pod and status; has $namespace and $hash.")
    status_label: LabelName = Field(
        default="status", description="Label of the status code in the answer of `requests`."
    )
    latency: Query = Field(description="Histogram buckets of one version, by le; has $namespace and $hash.")
    latency_histogram: MetricName = Field(description="Name of the histogram, without _bucket.")
    pod_hash_label: LabelName = Field(
        default=POD_TEMPLATE_HASH_METRIC,
        description="Label that tells versions apart (podTargetLabels of the PodMonitor).",
    )
    router: RouterQuery | None = Field(
        default=None,
        description="The router's own requests by code, for errors that never reached a pod; has $namespace.",
    )
    router_code_label: LabelName = Field(
        default="code", description="Label of the status code in the answer of `router`."
    )


class Workload(Spec):
    """What meets the users: an Argo Rollout with two Services and a weighted route."""

    component: Label = Field(description="The component of an image that this Rollout runs.")
    rollout: Label = Field(description="Name of the Rollout.")
    stable_service: Label = Field(description="Service of the stable version.")
    canary_service: Label = Field(description="Service of the canary.")
    route: Label = Field(description="The weighted route (TraefikService).")
    container: Label = Field(description="Container of the pod that serves.")
    port: int = Field(ge=1, le=65535, description="Its port.")
    metrics: Metrics = Field(description="What Prometheus knows of it.")


class SmokeCheck(Spec):
    """One request to the canary's pod itself, before any user meets it."""

    path: UrlPath = Field(description="What is asked.")
    status: int = Field(default=200, ge=100, le=599, description="Status code that is expected.")
    fields: dict[Annotated[str, Field(pattern=r"^\w+(\.\w+)*$")], str | int | float | bool | None] = Field(
        default_factory=dict,
        description="Fields of the JSON answer, by dotted path, and their values; $version is the released version.",
    )
    timeout_s: Annotated[float, Field(gt=0, le=60)] = Field(default=5, description="Longest wait for the answer.")

    def expected(self, version: str) -> dict[str, str | int | float | bool | None]:
        """Return the fields with the version filled in."""
        return {path: version if value == "$version" else value for path, value in self.fields.items()}


class Probe(Spec):
    """A command that gives a follower something to do, run in a pod of the follower."""

    container: Label = Field(description="Container that it runs in.")
    command: tuple[str, ...] = Field(
        min_length=1, max_length=30, description="Program and arguments; $count is the number of tasks."
    )

    def arguments(self, count: int) -> list[str]:
        """Return the command for a number of tasks."""
        return [str(count) if part == "$count" else part for part in self.command]


class FollowerMetrics(Spec):
    """How the new version of a follower is judged."""

    tasks: Query = Field(description="Tasks that ended, of one version, by status; has $namespace and $hash.")
    status_label: LabelName = Field(default="status", description="Label of the status in the answer.")
    failed: tuple[str, ...] = Field(default=("failure",), min_length=1, description="Statuses that count as failed.")


class Follower(Spec):
    """What changes to the new version after the workload, and before the promotion."""

    name: Label = Field(description="The component of an image that it runs.")
    kind: Literal["Rollout", "Deployment"] = Field(description="Kind of the Kubernetes object.")
    object: Label = Field(description="Its name.")
    steps: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(
        default=(), description="Percentages of a Rollout at which it stops to be judged; empty: all at once."
    )
    metrics: FollowerMetrics | None = Field(default=None, description="How it is judged; without: by Ready pods alone.")
    probe: Probe | None = Field(default=None, description="What gives it something to do, so that it can be judged.")
    ready_within_s: Seconds = Field(default=300, description="Longest wait for all of its pods.")


class MigrationValues(Spec):
    """Where the chart takes what slipway decides about the migration's Job."""

    enabled: ValuesPath = Field(description="Truth value that makes the chart render the Job.")
    attempt: ValuesPath = Field(description="Number of the attempt; a Job's template cannot be changed.")
    pg_options: ValuesPath | None = Field(default=None, description="Options of the session, as in PGOPTIONS.")


class Migration(Spec):
    """How the schema is brought to the new version. Expand-only: the old version runs on it during the canary."""

    template: ProjectPath = Field(description="The Job's template, from the chart's folder.")
    values: MigrationValues = Field(description="Where the chart takes what slipway decides.")
    alembic_ini: ProjectPath = Field(description="Alembic's configuration.")
    versions: ProjectPath = Field(description="Folder of the revisions.")
    expand_only: Literal[True] = Field(
        default=True, description="A contract step is refused in the release that expands."
    )
    timeout_s: Seconds = Field(default=1800, description="Longest migration.")


class Secrets(Spec):
    """The application's Kubernetes Secret, which has to be there before anything starts."""

    name: Label = Field(description="Name of the Secret, in the namespace of the environment.")
    keys: dict[EnvironmentKind, tuple[SecretKey, ...]] = Field(
        description="Keys that it has to have, by kind of environment."
    )

    def required(self, kind: EnvironmentKind) -> tuple[str, ...]:
        """Return the keys that an environment of this kind has to have."""
        return self.keys.get(kind, ())


class SettingsSpec(Spec):
    """The application's own settings."""

    schema_path: ProjectPath = Field(description="JSON Schema of the settings, generated by the application.")
    values: ValuesPath = Field(default="settings", description="Chart value that holds them.")
    follower_values: ValuesPath | None = Field(
        default=None, description="Chart value that holds the followers' settings while they still are the old ones."
    )
    environment: ValuesPath | None = Field(default=None, description="Setting that says where the process runs.")
    environments: dict[EnvironmentKind, str] = Field(
        default_factory=dict, description="What that setting has to say, by kind of environment."
    )


class ReleaseSpec(Spec):
    """Everything that slipway knows of one application."""

    application: Label = Field(description="Name of the application, and of this file.")
    description: Sentence = Field(description="What it is, in one sentence.")
    owner: Sentence = Field(description="Who is asked about it.")
    chart: Chart = Field(description="The Helm chart.")
    images: tuple[Image, ...] = Field(min_length=1, description="Images that are built.")
    workload: Workload = Field(description="What meets the users.")
    smoke: tuple[SmokeCheck, ...] = Field(min_length=1, description="Requests to the canary's pod before any user.")
    synthetic_paths: tuple[UrlPath, ...] = Field(
        default=(),
        description="What slipway asks for (GET) where an environment has it make the load; safe to repeat. Empty: no "
        "such environment.",
    )
    followers: tuple[Follower, ...] = Field(
        default=(), description="What changes to the new version next, in this order."
    )
    migration: Migration | None = Field(default=None, description="How the schema is migrated; without: there is none.")
    secrets: Secrets | None = Field(default=None, description="The Kubernetes Secret; without: there is none.")
    settings: SettingsSpec | None = Field(
        default=None, description="The application's own settings; without: it has none."
    )
    dashboards: tuple[ProjectPath, ...] = Field(default=(), description="Dashboards that have to show data.")
    links: dict[Annotated[str, Field(pattern=r"^[A-Za-z][\w -]{0,39}$")], HttpUrl] = Field(
        default_factory=dict, description="Links for notifications: NAME: address."
    )

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        components = [feed.component for image in self.images for feed in image.feeds]
        names = [image.name for image in self.images]
        if len(set(names)) < len(names):
            raise rule("two images have the same name")
        if len(set(components)) < len(components):
            raise rule("one component is fed by two images")
        if self.workload.component not in components:
            raise rule("workload.component is no component of an image")
        followers = [follower.name for follower in self.followers]
        if len(set(followers)) < len(followers):
            raise rule("two followers have the same name")
        if not set(followers) <= set(components) - {self.workload.component}:
            raise rule("each follower is a component of an image, and not the workload's own")
        if set(components) - {self.workload.component} - set(followers):
            raise rule("each component of an image is the workload or a follower, or it would never be released")
        return self

    def image(self, name: str) -> Image:
        """Return an image by its name.

        :raises KeyError: there is none.
        """
        return {image.name: image for image in self.images}[name]

    def image_of(self, component: str) -> Image:
        """Return the image that a component runs.

        :raises KeyError: there is no such component.
        """
        return {feed.component: image for image in self.images for feed in image.feeds}[component]

    def feeds(self) -> Iterable[tuple[Image, Feed]]:
        """Yield every component with its image."""
        return ((image, feed) for image in self.images for feed in image.feeds)


def load_release(path: Path, name: str | None = None) -> ReleaseSpec:
    """Read a release spec.

    :param name: how findings name the file; its path when left out.
    :raises SpecError: with every finding.
    """
    document = read(path, name)
    made, findings = build(ReleaseSpec, document)
    if made is not None and made.application != path.stem:
        findings.append(
            document.finding(
                ("application",), "not the name of the file", found=repr(made.application), allowed=path.stem
            )
        )
    if made is None or findings:
        raise refusal("the release spec", findings)
    return made


def frozen_release(text: str) -> ReleaseSpec:
    """Read a release spec as the ledger has kept it: of a release that is under way.

    :raises SpecError: it is none; a version of slipway that is too old or too new.
    """
    made, findings = build(ReleaseSpec, parse(text.encode(), "the release spec in the ledger"))
    if made is None:
        raise refusal("the release spec in the ledger", findings)
    return made
