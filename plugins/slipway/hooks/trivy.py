"""Runs Trivy without a network: vulnerabilities of an image, misconfigurations of files, the list of what is inside."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.errors import BuildError
from slipway.hooks.process import run
from slipway.images.probes import probe_for, recognised_in
from slipway.images.reports import ConfigReport, Database, ScanReport, read_config, read_database, read_scan
from slipway.images.vulnerabilities import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SCAN_TIMEOUT_S = 600.0
DOWNLOAD_TIMEOUT_S = 900.0
VERSION_TIMEOUT_S = 30.0
REFUSED_VERSIONS = frozenset({"0.69.4", "0.69.5", "0.69.6"})
"""Published by somebody who had stolen the project's credentials, in March 2026."""
OFFLINE = ("--skip-db-update", "--skip-java-db-update", "--offline-scan")
QUIET = ("--quiet", "--format", "json")
_CODE = re.compile(r"^\d{4}-\d\d-\d\dT\S+\s+", re.MULTILINE)


class Trivy:
    """The scanner.

    :param program: where it is; on PATH or beside the interpreter when left out.
    :param cache: where its database is; `TRIVY_CACHE_DIR` or its usual folder when left out.
    :param log: takes progress, line by line.
    :raises BuildError: it is not installed, or it is a version that must not be run.
    """

    def __init__(
        self, program: Path | None = None, *, cache: Path | None = None, log: Callable[[str], object] | None = None
    ) -> None:
        self._program = str(program or find())
        self._cache = cache or Path(os.environ.get("TRIVY_CACHE_DIR") or Path.home() / ".cache/trivy")
        self._log = log
        self.version = self._version()

    @property
    def metadata_file(self) -> Path:
        """Where the database says how old it is."""
        return self._cache / "db" / "metadata.json"

    def database(self) -> Database:
        """Return which vulnerability database is there.

        :raises BuildError: there is none, or it cannot be read.
        """
        path = self.metadata_file
        try:
            content = path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise BuildError(
                "there is no vulnerability database",
                found=f"no {path}",
                mend="slipway images database --from MIRROR, or set TRIVY_CACHE_DIR",
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise BuildError(
                "the vulnerability database cannot be read", found=f"{path}: {error}", mend="download it again"
            ) from error
        return read_database(content)

    def download(self, repository: str) -> Database:
        """Fetch the newest database.

        :param repository: of a mirror, for example `registry.example.com/mirror/trivy-db:2`.
        :raises BuildError: it could not be had.
        """
        self._call(
            "image",
            "--download-db-only",
            "--db-repository",
            repository,
            what=f"the vulnerability database could not be downloaded from {repository}",
            timeout_s=DOWNLOAD_TIMEOUT_S,
        )
        return self.database()

    def evidence(self, layout: Path, work: Path) -> Evidence:
        """Scan an image for known vulnerabilities, and find out what the database knows at all.

        Nothing is raised for a scan that fails: that, too, is evidence, and a gate refuses it.

        :param layout: the image as an OCI layout.
        :param work: a folder for what is needed on the way.
        """
        try:
            database = self.database()
        except BuildError as error:
            return Evidence(failure=_line(error))
        try:
            report = self.scan(layout)
            return Evidence(report, database, recognised_in(report, self._probe(report, work)))
        except BuildError as error:
            return Evidence(database=database, failure=_line(error))

    def scan(self, layout: Path) -> ScanReport:
        """Scan an image for known vulnerabilities with the database that is there.

        :param layout: the image as an OCI layout.
        :raises BuildError: the scan failed.
        """
        output = self._call(
            "image", "--input", str(layout), *OFFLINE, "--scanners", "vuln", "--list-all-pkgs", *QUIET, what="the scan"
        )
        return read_scan(output)

    def sbom(self, layout: Path) -> str:
        """Return the list of what is in an image, as CycloneDX. One that names nothing is the gate's to refuse.

        :param layout: the image as an OCI layout.
        :raises BuildError: it could not be made.
        """
        return self._call(
            "image", "--input", str(layout), *OFFLINE, "--quiet", "--format", "cyclonedx", what="the list of contents"
        )

    def misconfigurations(self, paths: Iterable[Path]) -> ConfigReport:
        """Hold Dockerfiles, charts or manifests against the scanner's checks.

        The checks are those that Trivy carries inside: it falls back to them when it has no downloaded bundle, and
        `--skip-check-update` keeps it from asking for one. How many ran is in the report.

        :param paths: files and folders.
        :raises BuildError: the scan failed, or no check ran, so its silence would say nothing.
        """
        reports = [self._misconfigurations(path) for path in paths]
        report = ConfigReport(
            files=sum(one.files for one in reports),
            checks_run=sum(one.checks_run for one in reports),
            findings=tuple(finding for one in reports for finding in one.findings),
        )
        if report.checks_run == 0:
            raise BuildError(
                "no check for misconfigurations ran",
                found=f"{report.files} files recognised",
                mend="name Dockerfiles, charts or manifests, and use the pinned version of trivy",
            )
        return report

    def _misconfigurations(self, path: Path) -> ConfigReport:
        output = self._call("config", "--skip-check-update", *QUIET, str(path), what=f"the check of {path}")
        report = read_config(output)
        if report.checks_run == 0:
            raise BuildError(
                f"no check for misconfigurations ran on {path}",
                found=f"{report.files} files recognised",
                mend="name a Dockerfile, a chart or a manifest",
            )
        return report

    def _probe(self, report: ScanReport, work: Path) -> ScanReport:
        document = probe_for(report.ecosystems)
        if document is None:
            return ScanReport({}, ())
        path = work / "probe.cdx.json"
        path.write_text(document, encoding="utf-8")
        return read_scan(self._call("sbom", str(path), *OFFLINE, *QUIET, what="the question to the database"))

    def _call(self, *arguments: str, what: str, timeout_s: float = SCAN_TIMEOUT_S) -> str:
        command = [self._program, "--cache-dir", str(self._cache), *arguments]
        completed = run(command, timeout_s=timeout_s, log=self._log, error=BuildError)
        if completed.returncode != 0:
            raise BuildError(
                f"{what} failed",
                found=f"trivy, exit code {completed.returncode}: {_CODE.sub('', completed.last_words)}",
                mend="download the vulnerability database again if it is at fault, else run trivy by hand",
            )
        return completed.stdout

    def _version(self) -> str:
        answer = run([self._program, "--version"], timeout_s=VERSION_TIMEOUT_S, error=BuildError)
        match = re.search(r"Version:\s*v?(\d\S*)", answer.stdout)
        version = match[1] if match else ""
        if not version or version in REFUSED_VERSIONS:
            raise BuildError(
                f"{self._program} must not be used",
                found=f"version {version}, published by a thief" if version else answer.last_words,
                mend="install the version that requirements.txt pins",
            )
        return version


def find() -> Path:
    """Return where the scanner is: beside the interpreter, where pip puts it, or on PATH.

    :raises BuildError: it is nowhere.
    """
    beside = Path(sys.executable).with_name("trivy")
    if beside.is_file():
        return beside
    on_path = shutil.which("trivy")
    if on_path is None:
        raise BuildError(
            "trivy is not installed", found=f"not {beside}, not on PATH", mend="pip install 'slipway[images]'"
        )
    return Path(on_path)


def _line(error: BuildError) -> str:
    return " ".join(f"{error.what}: {error.found}".split())
