"""Maps a release spec and an environment onto what the builder, the gates and the scanner want to know."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from slipway.errors import RefusedError, SpecError
from slipway.images.address import RegistryAddress
from slipway.images.reports import Severity
from slipway.images.source import ImageBuild
from slipway.images.vulnerabilities import Policy
from slipway.images.waiver import Waiver
from slipway.names import EnvironmentKind

if TYPE_CHECKING:
    from slipway.spec.environment import Environment
    from slipway.spec.release import Image, ReleaseSpec


def builds_of(release: ReleaseSpec, root: Path) -> tuple[ImageBuild, ...]:
    """Return the images of a release.

    :param root: the project's root, which the spec's paths start from.
    :raises SpecError: a Dockerfile lies outside of its context, where nothing notices that it changes.
    """
    return tuple(build_of(image, root) for image in release.images)


def build_of(image: Image, root: Path) -> ImageBuild:
    """Return one image of a release; see :func:`builds_of`."""
    context, dockerfile = PurePosixPath(image.context), PurePosixPath(image.dockerfile)
    if not dockerfile.is_relative_to(context):
        raise SpecError(
            f"the Dockerfile of the image {image.name} lies outside of its context",
            found=f"{dockerfile} is not below {context}",
            mend="move it into the context: it is part of what the image is made from",
        )
    return ImageBuild(
        name=image.name,
        context=root / context,
        dockerfile=str(dockerfile.relative_to(context)),
        max_compressed_mb=image.max_compressed_mb,
        user=image.user,
        facts={argument: str(fact) for argument, fact in image.arguments.items()},
        has_healthcheck=image.healthcheck,
    )


def with_fault(build: ImageBuild, image: Image, share: float, environment: EnvironmentKind) -> ImageBuild:
    """Return an image that fails a share of its requests on purpose, for a rehearsal.

    :param share: of the requests, 0 to 1.
    :raises RefusedError: it is for production, or the image knows no such argument.
    """
    if environment is EnvironmentKind.PRODUCTION:
        raise RefusedError(
            f"the image {build.name} is to fail on purpose, and this is production",
            found=f"{share:g} of the requests",
            mend="rehearse on staging",
        )
    if image.drill_argument is None:
        raise RefusedError(
            f"the image {build.name} cannot fail on purpose", mend="name its drill_argument in the release spec"
        )
    return dataclasses.replace(build, build_args={**build.build_args, image.drill_argument: f"{share:g}"})


def address_of(environment: Environment, application: str, auth_file: Path | None = None) -> RegistryAddress:
    """Return where the images of an application go.

    :param auth_file: credentials, when the environment names some; see `slipway.hooks.registry.login_file`.
    """
    registry = environment.registry
    return RegistryAddress.parse(
        f"{registry.push_to or registry.prefix}/{application}",
        pull=f"{registry.prefix}/{application}",
        is_plain_http=registry.insecure,
        auth_file=auth_file,
    )


def policy_of(environment: Environment) -> Policy:
    """Return what an environment holds against a scan."""
    scan = environment.scan
    return Policy(
        environment=environment.kind,
        max_age=timedelta(hours=scan.max_database_age_h),
        fail_on=frozenset(Severity(level) for level in scan.severities),
        tolerate_unfixed=scan.ignore_unfixed,
        waiver=Waiver(scan.waived.reason, scan.waived.until) if scan.waived else None,
    )
