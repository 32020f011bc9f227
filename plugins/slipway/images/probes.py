"""Asks a vulnerability database whether it knows an ecosystem at all.

A scanner that looks a package up in a database that has never heard of its system finds nothing and says so, just as it
does for a good package. So each scan is followed by a second one, of a made-up list with one very old package per
ecosystem, each of which has had many vulnerabilities: a database that finds nothing wrong with it is blind there.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from slipway.images.reports import Ecosystem, EcosystemKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slipway.images.reports import ScanReport

SYSTEM_PACKAGE = "openssl"
OLD = "0.0.1"
SYSTEMS = {"debian": "deb", "ubuntu": "deb", "alpine": "apk", "redhat": "rpm", "rocky": "rpm", "alma": "rpm"}
"""The package URL's type by the scanner's name of the system."""
LANGUAGES = {
    "python-pkg": "pkg:pypi/urllib3@0.0.1",
    "node-pkg": "pkg:npm/lodash@0.0.1",
    "gobinary": "pkg:golang/golang.org/x/crypto@v0.0.1",
    "jar": "pkg:maven/org.apache.logging.log4j/log4j-core@2.0.0",
    "gemspec": "pkg:gem/rack@0.0.1",
}
"""A package with many known vulnerabilities, by the scanner's name of the language's packages."""


def probe_for(ecosystems: Iterable[Ecosystem]) -> str | None:
    """Return the made-up list of packages, as a CycloneDX document, or None when there is nothing to ask.

    :param ecosystems: those of an image. One without a known bad package is left out: it stays unrecognised.
    """
    components: list[dict[str, Any]] = []
    for one in ecosystems:
        if one.kind is EcosystemKind.SYSTEM and one.name in SYSTEMS:
            purl = f"pkg:{SYSTEMS[one.name]}/{one.name}/{SYSTEM_PACKAGE}@{OLD}?distro={one.name}-{one.release}"
            components.append({"type": "operating-system", "name": one.name, "version": one.release})
            components.append({"type": "library", "name": SYSTEM_PACKAGE, "version": OLD, "purl": purl})
        elif one.kind is EcosystemKind.LANGUAGE and one.name in LANGUAGES:
            purl = LANGUAGES[one.name]
            name, _, version = purl.rpartition("/")[2].partition("@")
            components.append({"type": "library", "name": name, "version": version, "purl": purl})
    if not components:
        return None
    for number, component in enumerate(components):
        component["bom-ref"] = f"probe-{number}"
    return json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components})


def recognised_in(report: ScanReport, probe: ScanReport) -> frozenset[Ecosystem]:
    """Return the ecosystems of an image in which the probe's package was found to be bad.

    :param report: of the image.
    :param probe: of the made-up list.
    """
    known = {(one.kind, one.name) for one in probe.vulnerable}
    return frozenset(one for one in report.ecosystems if (one.kind, one.name) in known)


def unknown_to(recognised: Iterable[Ecosystem], ecosystems: Iterable[Ecosystem]) -> tuple[Ecosystem, ...]:
    """Return the ecosystems that the database does not know."""
    return tuple(sorted(set(ecosystems) - set(recognised)))
