"""Builds one image of a release, or recognises it: gates, scan, push; from here on only its digest goes on."""

from __future__ import annotations

import logging
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.flow import credentials
from slipway.flow.site import state_folder
from slipway.names import EventKind, ReleaseState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.flow.step import Step
    from slipway.images.source import ImageBuild
    from slipway.images.vulnerabilities import Event
    from slipway.spec.environment import Environment
    from slipway.spec.release import Image

log = logging.getLogger(__name__)
LONGEST_S = 1800.0


def image(step: Step, name: str) -> str:
    """Make one image and return its reference with the digest.

    :param name: of the image in the release spec.
    :raises GateError: size, user, health check or vulnerabilities.
    """
    from slipway.hooks.builder import Builder
    from slipway.hooks.images import Pipeline
    from slipway.hooks.trivy import Trivy
    from slipway.images.plan import address_of, policy_of

    step.require()
    site, version = step.site, step.release.version
    output = state_folder() / "releases" / step.release.id
    with _login(site.environment) as auth_file:
        pipeline = Pipeline(
            Builder.choose(log=log.info),
            Trivy(log=log.info),
            address_of(site.environment, site.spec.application, auth_file),
            policy_of(site.environment),
            output,
            log=log.info,
        )
        made = pipeline.make(_build(step, site.spec.image(name)), version)
    for event in made.events:
        payload = _said(event, name, site.environment)
        step.store.append(step.release.id, event.kind, payload, key=f"{event.kind}:{name}:{event.text[:80]}")
    step.store.append(
        step.release.id, EventKind.IMAGE_BUILT,
        {
            "image": name, "digest": made.digest, "repository": made.repository, "tag": made.tag,
            "revision": made.revision, "compressed_mb": made.compressed_mb, "user": made.user,
            "vulnerabilities": made.vulnerabilities, "reused": made.was_reused, "sbom": made.sbom,
        },
        key=f"image:{name}:{made.digest}", epoch=step.release.epoch,
    )  # fmt: skip
    log.info("%s: %s, %.1f MB of %g", name, made.reference, made.compressed_mb, made.max_compressed_mb)
    return made.reference


def _said(event: Event, name: str, environment: Environment) -> dict[str, str]:
    """Return what the dossier says of an event of the gates; a waiver in the places that it has for one."""
    waived = environment.scan.waived
    if event.kind is not EventKind.WAIVED or waived is None:
        return {"text": event.text}
    return {
        "what": f"vulnerabilities of {name}", "reason": waived.reason, "until": waived.until.isoformat(),
        "by": f"environment {environment.name}", "text": event.text,
    }  # fmt: skip


def finish(step: Step) -> None:
    """Write down that every image is there."""
    step.advance(ReleaseState.BUILT, {"images": dict(step.facts.digests)})


def _build(step: Step, image: Image) -> ImageBuild:
    from slipway.images.plan import build_of, with_fault

    build = build_of(image, step.site.root)
    share = float(step.facts.details.get("drill_error_rate") or 0)
    if not share or image.drill_argument is None:
        return build
    log.warning("%s fails %.0f %% of its requests on purpose: this is a rehearsal", image.name, share * 100)
    return with_fault(build, image, share, step.site.environment.kind)


@contextmanager
def _login(environment: Environment) -> Iterator[Path | None]:
    """Give the registry's credentials in a file that nobody else may read, for as long as a build takes."""
    from slipway.hooks.registry import login_file

    registry = environment.registry
    if registry.credentials is None:
        yield None
        return
    login = credentials.login(registry.credentials)
    host = (registry.push_to or registry.prefix).partition("/")[0]
    with tempfile.TemporaryDirectory(prefix="slipway-login-") as folder:
        yield login_file(Path(folder), host, login.user or "", login.password or "")
