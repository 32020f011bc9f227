"""What an image must be before it is pushed: small, not root, able to say that it lives, and labelled."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.errors import GateError

if TYPE_CHECKING:
    from slipway.images.facts import ImageFacts

BASE_NAME_LABEL = "org.opencontainers.image.base.name"
VERSION_LABEL = "org.opencontainers.image.version"
REVISION_LABEL = "org.opencontainers.image.revision"
CREATED_LABEL = "org.opencontainers.image.created"
REQUIRED_LABELS = (
    "org.opencontainers.image.title",
    VERSION_LABEL,
    REVISION_LABEL,
    CREATED_LABEL,
    "org.opencontainers.image.licenses",
    BASE_NAME_LABEL,
)
PLACEHOLDERS = frozenset({"", "unknown", "1970-01-01T00:00:00Z"})
"""What the Dockerfiles fill in when nobody says better: it names nothing."""

_NUMERIC_USER = re.compile(r"(\d{1,10})(?::\d{1,10})?")


@dataclass(frozen=True)
class Limits:
    """What one image is held against.

    :param max_compressed_mb: the sum of the compressed layers must stay below this, in 10^6 bytes.
    :param user: the numeric user it must run as; None admits any that is not root.
    :param version: the release's version.
    :param revision: the revision it was built from.
    :param base: the image that the Dockerfile's last stage stands on.
    :param has_healthcheck: it must say how its health is asked.
    """

    max_compressed_mb: float
    version: str
    revision: str
    base: str
    user: str | None = None
    has_healthcheck: bool = True


@dataclass(frozen=True)
class Refusal:
    """One reason why an image does not go on.

    :param gate: short name of the rule: size, user, healthcheck, labels.
    :param found: what was found.
    :param mend: what to do.
    """

    gate: str
    found: str
    mend: str


def refusals(facts: ImageFacts, limits: Limits) -> tuple[Refusal, ...]:
    """Return every reason why this image does not go on; none is a pass."""
    return (*_size(facts, limits), *_user(facts, limits), *_healthcheck(facts, limits), *_labels(facts, limits))


def require(name: str, facts: ImageFacts, limits: Limits) -> None:
    """Let an image pass, or say all that is wrong with it at once.

    :param name: the image's name, for the error.
    :raises GateError: at least one gate said no.
    """
    if found := refusals(facts, limits):
        raise GateError(
            f"the image {name} does not pass {len(found)} gate{'s' if len(found) > 1 else ''}",
            found="; ".join(f"{one.gate}: {one.found}" for one in found),
            mend="; ".join(dict.fromkeys(one.mend for one in found)),
        )


def _size(facts: ImageFacts, limits: Limits) -> tuple[Refusal, ...]:
    if not facts.layers:
        return (Refusal("size", "no layers", "look at the Dockerfile: its last stage copies nothing"),)
    plain = [layer for layer in facts.layers if not layer.is_compressed]
    if plain:
        return (
            Refusal(
                "size",
                f"{len(plain)} of {len(facts.layers)} layers are not compressed, so their sum says nothing",
                "push the image compressed",
            ),
        )
    if facts.compressed_mb >= limits.max_compressed_mb:
        return (
            Refusal(
                "size",
                f"{facts.compressed_mb:.1f} MB compressed, the limit is {limits.max_compressed_mb:g} MB",
                "leave build tools, caches and tests in the build stage",
            ),
        )
    return ()


def _user(facts: ImageFacts, limits: Limits) -> tuple[Refusal, ...]:
    match = _NUMERIC_USER.fullmatch(facts.user)
    if match is None:
        found = f"user {facts.user!r}" if facts.user else "no user, which is root"
        # Kubernetes cannot prove runAsNonRoot for a name.
        return (Refusal("user", found, "end the Dockerfile's last stage with a numeric USER, for example 10001:10001"),)
    if int(match[1]) == 0:
        return (Refusal("user", f"user {facts.user}, which is root", "name a user other than 0 in USER"),)
    if limits.user is not None and match[1] != limits.user.partition(":")[0]:
        return (
            Refusal("user", f"user {facts.user}, the release says {limits.user}", "make Dockerfile and release agree"),
        )
    return ()


def _healthcheck(facts: ImageFacts, limits: Limits) -> tuple[Refusal, ...]:
    if facts.healthcheck is not None or not limits.has_healthcheck:
        return ()
    if not facts.has_docker_format:
        return (
            Refusal(
                "healthcheck", "none: OCI's format drops HEALTHCHECK", "build with Docker's format: --format docker"
            ),
        )
    return (Refusal("healthcheck", "none", "add a HEALTHCHECK to the Dockerfile's last stage"),)


def _labels(facts: ImageFacts, limits: Limits) -> tuple[Refusal, ...]:
    found: list[Refusal] = []
    if missing := [label for label in REQUIRED_LABELS if facts.labels.get(label, "") in PLACEHOLDERS]:
        found.append(
            Refusal("labels", f"without {', '.join(missing)}", "set them in the Dockerfile's last stage from its ARGs")
        )
    wanted_values = ((VERSION_LABEL, limits.version), (REVISION_LABEL, limits.revision), (BASE_NAME_LABEL, limits.base))
    for label, wanted in wanted_values:
        value = facts.labels.get(label, "")
        if value not in PLACEHOLDERS and value != wanted:
            found.append(
                Refusal(
                    "labels", f"{label} is {value}, wanted {wanted}", f"let the Dockerfile say {label} as it is built"
                )
            )
    return tuple(found)
