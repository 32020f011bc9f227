"""Where images go, and what those call the place who pull them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.errors import RegistryError

if TYPE_CHECKING:
    from pathlib import Path

_PATH = re.compile(r"[a-z0-9]+(?:(?:[._/-]|__)[a-z0-9]+)*")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(?::\d{1,5})?")


@dataclass(frozen=True)
class RegistryAddress:
    """Where images go.

    :param host: host and port that we push to, for example `10.200.0.1:5000`.
    :param prefix: first part of every repository, for example `hive-platform`; may be empty.
    :param pull: host, port and first part as pods pull from it, when that differs.
    :param is_plain_http: speak http; for a registry on a private network only.
    :param auth_file: credentials in the format of `docker login`; found where a login leaves them when left out.
    """

    host: str
    prefix: str = ""
    pull: str = ""
    is_plain_http: bool = False
    auth_file: Path | None = None

    @classmethod
    def parse(
        cls, text: str, *, pull: str = "", is_plain_http: bool = False, auth_file: Path | None = None
    ) -> RegistryAddress:
        """Read `HOST[:PORT][/PREFIX]`.

        :param text: for example `registry.example.com/hive-platform`; `http://` before it means plain http.
        :param pull: the same as pods pull from it; the same when empty.
        :raises RegistryError: not such an address.
        """
        host, _, prefix = text.removeprefix("http://").removeprefix("https://").rstrip("/").partition("/")
        if not _HOST.fullmatch(host) or (prefix and not _PATH.fullmatch(prefix)):
            raise RegistryError(
                "not the address of a registry",
                found=repr(text[:120]),
                mend="use HOST[:PORT][/PREFIX], for example registry.example.com/hive-platform",
            )
        return cls(host, prefix, pull.rstrip("/"), is_plain_http or text.startswith("http://"), auth_file)

    def repository(self, name: str) -> str:
        """Return an image's repository, without the host."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def pull_name(self, name: str) -> str:
        """Return what a manifest calls the image's repository, host included."""
        return f"{self.pull}/{name}" if self.pull else f"{self.host}/{self.repository(name)}"
