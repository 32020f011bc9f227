"""A vulnerability database of our own, written with the scanner's own writer, and small real images to scan."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

HERE = Path(__file__).parent
BUILD_TIMEOUT_S = 600


@dataclass(frozen=True)
class Advisory:
    """A made-up vulnerability.

    :param bucket: the ecosystem, as the database calls it: `debian 12`, `pip::advisories`.
    :param fixed: first good version of a system's package.
    :param vulnerable: ranges of a language's package.
    """

    id: str
    bucket: str
    package: str
    severity: str
    title: str = "made up"
    fixed: str = ""
    vulnerable: tuple[str, ...] = field(default=())
    patched: tuple[str, ...] = field(default=())


KNOWN = (
    # What the gate asks for to find out whether the database knows an ecosystem; good versions are not affected.
    Advisory("CVE-2000-0001", "debian 12", "openssl", "LOW", fixed="1.0.0"),
    Advisory("CVE-2000-0002", "pip::advisories", "urllib3", "LOW", vulnerable=("<1.0.0",), patched=("1.0.0",)),
)


def build_writer(folder: Path) -> Path:
    """Compile the program that writes databases, and return where it is."""
    program = folder / "write-database"
    command = ["go", "build", "-o", str(program), "."]
    subprocess.run(command, cwd=HERE / "database", check=True, capture_output=True, timeout=BUILD_TIMEOUT_S)
    return program


def write_database(writer: Path, cache: Path, advisories: Sequence[Advisory], updated_at: datetime) -> Path:
    """Write a database into a scanner's cache folder, and return that folder."""
    content = {"updated_at": updated_at.isoformat(), "advisories": [asdict(one) for one in advisories]}
    command = [str(writer), str(cache / "db")]
    subprocess.run(command, input=json.dumps(content), text=True, check=True, capture_output=True, timeout=60)
    return cache


def write_debian(folder: Path, openssl: str = "3.0.11-1", urllib3: str = "2.5.0") -> None:
    """Fill a folder with the little of Debian and Python that a scanner looks at."""
    for path, content in {
        "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian"\n',
        "etc/debian_version": "12.5\n",
        "var/lib/dpkg/status": (
            "Package: openssl\nStatus: install ok installed\nMaintainer: Nobody\n"
            f"Architecture: amd64\nVersion: {openssl}\n\n"
        ),
        f"app/urllib3-{urllib3}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: urllib3\nVersion: {urllib3}\n",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
