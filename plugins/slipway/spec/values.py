"""The layers of Helm values: the chart's own, the overlays, and on top what the environment and the build decide."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slipway.errors import SpecError
from slipway.spec.findings import may_be_secret, nearest
from slipway.spec.reading import Document, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from slipway.spec.environment import ApplicationHere, Environment
    from slipway.spec.release import Feed, Image, ReleaseSpec

_REPOSITORY = re.compile(r"[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9][a-z0-9._-]*)+")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class ImageRef:
    """An image that nobody can change behind our back: a repository without a tag, and a digest.

    :param repository: HOST[:PORT]/PATH.
    :param digest: sha256: and 64 hexadecimal digits.
    :param version: what it is called, for labels; None: nothing is said.
    """

    repository: str
    digest: str
    version: str | None = None

    def __post_init__(self) -> None:
        """Refuse tags and anything else that is no digest.

        :raises SpecError: always with the form.
        """
        if not _REPOSITORY.fullmatch(self.repository):
            raise _no_reference("repository", self.repository, "HOST[:PORT]/PATH without a tag")
        if not _DIGEST.fullmatch(self.digest):
            raise _no_reference("digest", self.digest, "sha256: and 64 hexadecimal digits; a tag can be moved")

    @classmethod
    def parse(cls, text: str) -> ImageRef:
        """Read REPOSITORY@sha256:DIGEST.

        :raises SpecError: it is no such reference.
        """
        repository, _, digest = text.partition("@")
        return cls(repository, digest)

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"


def _no_reference(part: str, found: str, form: str) -> SpecError:
    secret = may_be_secret(found) and not found.startswith("sha256:")
    return SpecError(
        f"image reference: the {part} is refused",
        found="(not shown)" if secret else repr(found[:100]),
        mend=f"write {form}; `python -m slipway values` takes --digest NAME=sha256:...",
    )


def image_refs(
    release: ReleaseSpec, environment: Environment, digests: Mapping[str, str], version: str | None = None
) -> dict[str, ImageRef]:
    """Return the images of a release in an environment's registry.

    :param digests: image name -> sha256:...
    :param version: what is released, for labels.
    :raises SpecError: an unknown image, or what is no digest.
    """
    known = [image.name for image in release.images]
    for name in digests:
        if name not in known:
            near = nearest(name, known)
            raise SpecError(
                f"image: {release.application} has no such image",
                found=repr(name[:60]) if not may_be_secret(name) else "(not shown)",
                mend=f'write "{near}"' if near else f"take one of {', '.join(known)}",
            )
    return {
        name: ImageRef(environment.registry.repository(release.application, name), digest, version)
        for name, digest in digests.items()
    }


def values_for(
    release: ReleaseSpec,
    environment: Environment,
    images: Mapping[str, ImageRef],
    *,
    keep: Mapping[str, ImageRef] | None = None,
    keep_settings: Mapping[str, Any] | None = None,
    first_install: bool = False,
) -> dict[str, Any]:
    """Return the last layer of Helm values: settings, host, name of the Secret, images.

    :param images: image name -> what its components run from now on.
    :param keep: component -> what it runs on; followers keep theirs until their turn comes.
    :param keep_settings: the complete settings that followers keep until their turn comes.
    :param first_install: whether the workload waits at 0 pods until the migration is done.
    :raises SpecError: the application is not released here, or an image is missing.
    """
    here = _here(release, environment)
    values: dict[str, Any] = {}
    if release.settings is not None and here.settings:
        put(values, release.settings.values, here.settings)
    if release.settings is not None and release.settings.follower_values and keep_settings is not None:
        put(values, release.settings.follower_values, dict(keep_settings))
    chart = release.chart.values
    if chart.host is not None:
        put(values, chart.host, here.host)
    if chart.secret_name is not None and release.secrets is not None:
        put(values, chart.secret_name, release.secrets.name)
    if chart.first_install is not None:
        put(values, chart.first_install, first_install)
    if chart.unattended_max is not None:
        put(values, chart.unattended_max, round(environment.canary.unattended_max_s))
    for image, feed in release.feeds():
        reference = _reference(image, feed, images, keep or {})
        put(values, feed.repository, reference.repository)
        put(values, feed.digest, reference.digest)
        if feed.version is not None and reference.version is not None:
            put(values, feed.version, reference.version)
    return values


def _reference(image: Image, feed: Feed, images: Mapping[str, ImageRef], keep: Mapping[str, ImageRef]) -> ImageRef:
    reference = keep.get(feed.component) or images.get(image.name)
    if reference is None:
        raise SpecError(
            f"image {image.name}: no digest is known for the component {feed.component}",
            found=", ".join(sorted(images)) or "no image at all",
            mend=f"name it, for example --digest {image.name}=sha256:...",
        )
    return reference


def _here(release: ReleaseSpec, environment: Environment) -> ApplicationHere:
    try:
        return environment.application(release.application)
    except KeyError:
        raise SpecError(
            f"environment {environment.name}: {release.application} is not released here",
            found=", ".join(sorted(environment.applications)),
            mend=f"add {release.application} to applications in its file, or name another environment",
        ) from None


def put(values: dict[str, Any], path: str, value: Any) -> None:
    """Set a value by its dotted path."""
    *above, last = path.split(".")
    for key in above:
        values = values.setdefault(key, {})
    values[last] = value


def get(values: Mapping[str, Any], path: Sequence[str | int]) -> tuple[bool, Any]:
    """Return whether a path is there, and what stands there."""
    here: Any = values
    for step in path:
        inside = (isinstance(here, dict) and step in here) or (
            isinstance(here, list) and isinstance(step, int) and step < len(here)
        )
        if not inside:
            return False, None
        here = here[step]
    return True, here


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one layer over another as Helm does: mappings are joined, null removes, everything else replaces."""
    result = dict(below)
    for key, value in above.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        else:
            result[key] = value
    return result


def overlays(release: ReleaseSpec, environment: Environment, root: Path) -> list[Path]:
    """Return the files between the chart's own values and the last layer, in order, as `--values` takes them.

    :param root: the project's folder.
    """
    return [root / path for path in _here(release, environment).values]


def layers(release: ReleaseSpec, environment: Environment, root: Path) -> Iterator[Document]:
    """Read the chart's own values and the overlays, lowest first.

    :raises SpecError: one of them cannot be read.
    """
    yield read(root / release.chart.path / "values.yaml", f"{release.chart.path}/values.yaml")
    for path in _here(release, environment).values:
        yield read(root / path, path)


def effective_settings(release: ReleaseSpec, environment: Environment, root: Path) -> dict[str, Any]:
    """Return the application's settings as it gets them: chart < overlays < environment.

    :raises SpecError: a layer cannot be read, or the application is not released here.
    """
    if release.settings is None:
        return {}
    place = release.settings.values.split(".")
    settings: dict[str, Any] = {}
    for layer in layers(release, environment, root):
        _, found = get(layer.value, place)
        settings = merge(settings, found if isinstance(found, dict) else {})
    return merge(settings, _here(release, environment).settings)
