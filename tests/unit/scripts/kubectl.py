"""A kubectl over one file that plays a small Argo Rollouts; it can lose, refuse and outrun patches as the real one.

The file holds `rollout`, `replicasets` (hash -> ReplicaSet) and what goes wrong: `fails` (an error for everything),
`lost` (patches that are taken and forgotten), `conflicts` (patches that are refused), `shipped` (somebody else's
version that appears with the next patch).
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

HOME = Path(os.environ["HOME"])
WORLD = HOME / "world.json"
LABEL = "rollouts-pod-template-hash"
PAUSES = (1, 3)
STEPS = 4


def leave(said: str) -> NoReturn:
    print(said, file=sys.stderr)
    sys.exit(1)


def at(found: Any, path: str) -> Any:
    """Follow a path of jsonpath: keys, and [*] at the end of one."""
    keys = [key.replace("\\", "") for key in re.split(r"(?<!\\)\.", path.strip("."))]
    for number, key in enumerate(keys):
        if not isinstance(found, dict):
            return None
        found = found.get(key.removesuffix("[*]"))
        if key.endswith("[*]"):
            values = [at(item, ".".join(keys[number + 1 :])) if keys[number + 1 :] else item for item in found or []]
            return " ".join(text(value) for value in values)
    return found


def text(value: Any) -> str:
    if value is None:
        return ""
    return json.dumps(value) if isinstance(value, dict | bool) else str(value)


def printed(found: Any, path: str) -> str:
    """Print what the script asks for by jsonpath, and no more of that language."""
    path = re.sub(r"\{range ([^}]*)\[\*\]\}x\{end\}", lambda match: "x" * len(at(found, match[1])), path)
    return re.sub(r"\{([^}]*)\}", lambda match: "\n" if match[1] == '"\\n"' else text(at(found, match[1])), path)


def refused(world: dict[str, Any], operations: list[dict[str, Any]], wanted: str | None) -> None:
    """Leave where a test of the patch fails, or its resourceVersion is an old one."""
    rollout = world["rollout"]
    for item in operations:
        if item["op"] == "test" and text(at(rollout, item["path"].replace("/", "."))) != text(item["value"]):
            leave("The request is invalid: the server rejected our request due to an error in our request")
    if wanted and world.get("conflicts", 0):
        world["conflicts"] -= 1
        rollout["metadata"]["resourceVersion"] += 1
    if wanted and wanted != str(rollout["metadata"]["resourceVersion"]):
        leave('Error from server (Conflict): Operation cannot be fulfilled on rollouts.argoproj.io "api"')


def patched(world: dict[str, Any], words: dict[str, str]) -> None:
    rollout = world["rollout"]
    body = json.loads(Path(words["patch-file"]).read_text() if "patch-file" in words else words["patch"])
    with (HOME / "bodies").open("a") as bodies:
        print(json.dumps(body), file=bodies)
    operations = body if isinstance(body, list) else []
    body = body if isinstance(body, dict) else {}
    refused(world, operations, body.get("metadata", {}).get("resourceVersion"))
    rollout["metadata"]["resourceVersion"] += 1
    if "annotations" in body.get("metadata", {}):
        rollout["metadata"]["annotations"].update(body["metadata"]["annotations"])
    elif world.get("lost", 0):
        world["lost"] -= 1
    else:
        controlled(rollout, body, operations)


def controlled(rollout: dict[str, Any], body: dict[str, Any], operations: list[dict[str, Any]]) -> None:
    """Do what the controller does with a patch."""
    metadata, status = rollout["metadata"], rollout["status"]
    done = {item["path"]: item["value"] for item in operations if item["op"] in ("add", "replace")}
    if "/status/abort" in done:
        status.update(abort=True, phase="Degraded", canary={"weights": {"canary": {"weight": 0}}})
    elif "/spec/template" in done:
        assert {"op": "remove", "path": f"/spec/template/metadata/labels/{LABEL}"} in operations
        hash_ = done["/spec/template"]["metadata"]["labels"][LABEL]
        metadata["generation"] += 1
        status.update(observedGeneration=str(metadata["generation"]), currentPodHash=hash_, abort=False)
        move(status, STEPS if hash_ == status["stableRS"] else PAUSES[0])
    elif "status" in body:
        move(status, next((step for step in PAUSES if step > status["currentStepIndex"]), STEPS))


def move(status: dict[str, Any], step: int) -> None:
    status.update(currentStepIndex=step, phase="Paused", pauseConditions=[{"reason": "CanaryPauseStep"}])
    if step == STEPS:
        status.update(phase="Healthy", pauseConditions=None, stableRS=status["currentPodHash"])


def main(arguments: list[str]) -> None:
    world = json.loads(WORLD.read_text())
    with (HOME / "calls").open("a") as calls:
        print(json.dumps(arguments), file=calls)
    if "fails" in world:
        leave(world["fails"])
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    words = {name[2:]: value for name, value in pairs if name.startswith("--") and "=" not in name}
    words |= dict(word[2:].split("=", 1) for word in arguments if word.startswith("--") and "=" in word)
    rollout, sets = world["rollout"], world["replicasets"]
    if "--dry-run=server" in arguments:
        return
    if "patch" in arguments:
        if "shipped" in world:
            rollout["status"]["currentPodHash"] = world.pop("shipped")
        try:
            patched(world, words)
        finally:
            WORLD.write_text(json.dumps(world))
    elif "replicasets" in arguments:
        path = words["output"].removeprefix("jsonpath=")
        name = arguments[arguments.index("replicasets") + 1]
        if "range" in path:
            path = path.removeprefix("{range .items[*]}").removesuffix("{end}")
            print("".join(printed(item, path) for item in sets.values()), end="")
        else:
            print(printed(sets[name.removeprefix("api-")], path), end="")
    elif "output" in words and "rollouts.argoproj.io" in arguments:
        print(printed(rollout, words["output"].removeprefix("jsonpath=")), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
