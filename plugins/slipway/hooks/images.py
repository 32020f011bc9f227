"""Makes one image of a release: build or recognise it, gates, scan, list of contents, push, and its digest out."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.errors import RefusedError
from slipway.hooks.registry import Registry
from slipway.hooks.source import source_of
from slipway.images import gates, vulnerabilities
from slipway.images.dockerfile import final_base
from slipway.images.source import source_sha256, tag_for
from slipway.names import EnvironmentKind, EventKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from slipway.hooks.builder import Builder, BuiltImage
    from slipway.hooks.trivy import Trivy
    from slipway.images.address import RegistryAddress
    from slipway.images.facts import ImageFacts
    from slipway.images.source import ImageBuild, Source
    from slipway.images.vulnerabilities import Event, Judgement, Policy


@dataclass(frozen=True)
class MadeImage:
    """An image that passed. Only `repository` and `digest` go on from here.

    :param repository: with the host that nodes pull from, without tag.
    :param digest: sha256:...; what the registry holds, or would hold when nothing was pushed.
    :param compressed_mb: sum of the compressed layers, in 10^6 bytes.
    :param vulnerabilities: `clean`, or that and until when they are waived.
    :param events: what log and dossier must show.
    :param sbom: where the list of contents is.
    """

    name: str
    repository: str
    digest: str
    tag: str
    version: str
    revision: str
    compressed_mb: float
    max_compressed_mb: float
    user: str
    healthcheck: str
    vulnerabilities: str
    is_on_stand_in: bool
    was_reused: bool
    was_pushed: bool
    sbom: str
    events: tuple[Event, ...]

    @property
    def reference(self) -> str:
        """What a manifest says: repository and digest."""
        return f"{self.repository}@{self.digest}"


class Pipeline:
    """Makes images, one by one; each call observes before it acts and may be repeated.

    :param builder: what builds and copies.
    :param trivy: what scans.
    :param address: where images go.
    :param policy: what is held against a scan.
    :param output: a folder for lists of contents and digests.
    :param push: False leaves the registry alone.
    :param log: takes progress, line by line.
    """

    def __init__(
        self,
        builder: Builder,
        trivy: Trivy,
        address: RegistryAddress,
        policy: Policy,
        output: Path,
        *,
        push: bool = True,
        log: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._builder = builder
        self._trivy = trivy
        self._address = address
        self._policy = policy
        self._output = output
        self._push = push
        self._log = log

    def make(self, image: ImageBuild, version: str) -> MadeImage:
        """Make one image.

        :param image: what to build.
        :param version: of the release.
        :raises GateError: the image must not go on.
        :raises RefusedError: its source is not committed and the environment is production.
        :raises BuildError: builder or scanner failed.
        :raises RegistryError: the registry failed.
        """
        source = source_of(image.context)
        if source.is_dirty and self._policy.environment is EnvironmentKind.PRODUCTION:
            raise RefusedError(
                f"the source of the image {image.name} is not committed, and this is production",
                found=source.revision,
                mend="commit it, so that the image can be traced to a commit",
            )
        known = self._known(image, version, source) if self._push else None
        if known is not None:
            self._log(f"{image.name}: the registry already holds this source as {known.digest}: reused, not built")
        with tempfile.TemporaryDirectory(prefix="slipway-image-") as folder:
            work = Path(folder)
            return self._make(image, version, source, known, work)

    def _make(self, image: ImageBuild, version: str, source: Source, known: ImageFacts | None, work: Path) -> MadeImage:
        tag = tag_for(version, source_sha256(image, source, version))
        built = self._fetch(image, tag, known, work) if known else self._build(image, version, source, work)
        limits = self._limits(image, version, source)
        gates.require(image.name, built.facts, limits)
        self._log(f"{image.name}: {built.facts.compressed_mb:.1f} MB of {limits.max_compressed_mb:g}, gates passed")
        judgement, sbom = self._examine(built, work)
        if self._push and known is None:
            self._builder.push(built, self._address)
            self._log(f"{image.name}: pushed as {built.facts.digest}")
        return self._made(image, version, source, built, judgement, sbom, was_reused=known is not None)

    def _known(self, image: ImageBuild, version: str, source: Source) -> ImageFacts | None:
        """Return what the registry holds of this very source, or None."""
        sha = source_sha256(image, source, version)
        address = self._address
        with Registry(address.host, is_plain_http=address.is_plain_http, auth_file=address.auth_file) as registry:
            facts = registry.inspect(address.repository(image.name), tag_for(version, sha))
        if facts is None:
            return None
        said = (facts.source_sha256, facts.labels.get(gates.VERSION_LABEL), facts.labels.get(gates.REVISION_LABEL))
        return facts if said == (sha, version, source.revision) else None

    def _build(self, image: ImageBuild, version: str, source: Source, work: Path) -> BuiltImage:
        self._log(f"{image.name}: building {version} from {source.revision} with {self._builder.kind}")
        # Where people try things out, seconds count more than that the digest is the same on another machine.
        use_cache = self._policy.environment is EnvironmentKind.LOCAL
        built = self._builder.build(image, version, source, work, use_cache=use_cache)
        self._log(f"{image.name}: built in {built.elapsed_s:.0f} s, {built.facts.digest}")
        return built

    def _fetch(self, image: ImageBuild, tag: str, known: ImageFacts, work: Path) -> BuiltImage:
        # It is scanned again: what is known about it may be new, though the image is not.
        return self._builder.fetch(image.name, tag, known, self._address, work)

    def _limits(self, image: ImageBuild, version: str, source: Source) -> gates.Limits:
        path = image.context / image.dockerfile
        base = final_base(path.read_text(encoding="utf-8"), str(path))
        return gates.Limits(image.max_compressed_mb, version, source.revision, base, image.user, image.has_healthcheck)

    def _examine(self, built: BuiltImage, work: Path) -> tuple[Judgement, Path]:
        layout = self._builder.layout(built, work / f"{built.name}.oci")
        evidence = self._trivy.evidence(layout, work)
        judgement = vulnerabilities.judge(built.name, evidence, self._policy, datetime.now(UTC))
        for event in judgement.events:
            self._log(f"WAIVED  {event.text}" if event.kind is EventKind.WAIVED else event.text)
        vulnerabilities.require(built.name, judgement)
        return judgement, self._sbom(built.name, layout, judgement)

    def _sbom(self, name: str, layout: Path, judgement: Judgement) -> Path:
        self._output.mkdir(parents=True, exist_ok=True)
        path = self._output / f"{name}.cdx.json"
        path.write_text(self._trivy.sbom(layout), encoding="utf-8")
        self._log(f"{name}: {judgement.word}; contents in {path}")
        return path

    def _made(
        self,
        image: ImageBuild,
        version: str,
        source: Source,
        built: BuiltImage,
        judgement: Judgement,
        sbom: Path,
        *,
        was_reused: bool,
    ) -> MadeImage:
        facts = built.facts
        return MadeImage(
            name=image.name,
            repository=self._address.pull_name(image.name),
            digest=facts.digest,
            tag=built.tag,
            version=version,
            revision=source.revision,
            compressed_mb=round(facts.compressed_mb, 1),
            max_compressed_mb=image.max_compressed_mb,
            user=facts.user,
            healthcheck=" ".join(facts.healthcheck.command[1:]) if facts.healthcheck else "",
            vulnerabilities=judgement.word,
            is_on_stand_in=facts.is_on_stand_in,
            was_reused=was_reused,
            was_pushed=self._push and not was_reused,
            sbom=str(sbom),
            events=judgement.events,
        )


def write_digests(images: Sequence[MadeImage], output: Path) -> Path:
    """Write what was made, for whoever deploys it: images.json for programs, images.env for Docker Compose.

    :param images: what was made.
    :param output: the folder.
    :return: images.json.
    """
    output.mkdir(parents=True, exist_ok=True)
    path = output / "images.json"
    content = {one.name: {**asdict(one), "reference": one.reference} for one in images}
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    lines = [f"{one.name.upper().replace('-', '_')}_IMAGE={one.reference}\n" for one in images]
    (output / "images.env").write_text("".join(lines), encoding="utf-8")
    return path
