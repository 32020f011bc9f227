"""Takes out of an image's configuration what only the machine knew that built it.

The layers of one source are the same wherever they are built, because their files carry a fixed time. What is left is
the configuration: buildah writes the name of its working container into it, a random host name and the identifiers of
intermediate images. Without them, one commit has one digest.
"""

from __future__ import annotations

import json
import re
from typing import Any

FILES_EPOCH = 315_532_800
"""The time of every file in a layer we make, 1980-01-01: the oldest that zip can say.

It is not the commit's: bytecode remembers the time of its source, and layers of an earlier commit are used again.
"""
FILES_CREATED = "1980-01-01T00:00:00Z"

_OF_THE_BUILDER = ("container", "container_config", "parent", "id")
_FROM_INTERMEDIATE = re.compile(r"FROM [0-9a-f]{12,64}")


def normalised(config: bytes, created: str) -> bytes:
    """Return the configuration that the same source gives on any machine.

    :param config: an image's configuration, as the builder made it.
    :param created: the time of the commit, RFC 3339.
    """
    data: dict[str, Any] = json.loads(config)
    for key in _OF_THE_BUILDER:
        data.pop(key, None)
    if isinstance(data.get("config"), dict):
        data["config"].pop("Hostname", None)
        data["config"].pop("Image", None)
    data["created"] = created
    data["history"] = [_entry(entry, created) for entry in data.get("history", [])]
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _entry(entry: dict[str, Any], created: str) -> dict[str, Any]:
    kept = dict(entry)
    if str(kept.get("created", "")).startswith(FILES_CREATED.removesuffix("Z")):
        kept["created"] = created  # ours; what the base brought keeps its own time
    if _FROM_INTERMEDIATE.fullmatch(str(kept.get("comment", ""))):
        kept.pop("comment")
    return kept
