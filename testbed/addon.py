"""One add-on of the testbed: its objects are applied once, and then its workloads are watched."""

from __future__ import annotations

import asyncio
import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from testbed.command import ask
from testbed.member import Member, trouble_of
from testbed.state import State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from pathlib import Path

    from testbed.catalog import Component
    from testbed.health import Doctor
    from testbed.place import Place

APPLY_TIMEOUT_S = 60
AGAIN_S = 0.5
STARTING_LOOK_S = 0.3
READY_LOOK_S = 3.0
API = "APIService"
PLURALS = {"Deployment": "deployments", "DaemonSet": "daemonsets", "StatefulSet": "statefulsets"}


@dataclass(frozen=True)
class Workload:
    """A set of pods that must be available, or an API that pods serve.

    :param namespace: None for what has none.
    """

    kind: str
    namespace: str | None
    name: str

    @classmethod
    def parse(cls, text: str) -> Workload:
        """Read ``namespace/statefulsets/name``."""
        namespace, plural, name = text.split("/")
        return cls(next(kind for kind in PLURALS if PLURALS[kind] == plural), namespace, name)

    @property
    def path(self) -> str:
        """Where the API server has it."""
        if self.kind == API:
            return f"/apis/apiregistration.k8s.io/v1/apiservices/{self.name}"
        return f"/apis/apps/v1/namespaces/{self.namespace}/{PLURALS[self.kind]}/{self.name}"

    def __str__(self) -> str:
        return f"{self.kind} {f'{self.namespace}/' if self.namespace else ''}{self.name}"


class Addon(Member):
    """Keeps one add-on applied.

    :param manifest: its rendered objects. The other arguments are those of :class:`~testbed.member.Member`.
    """

    def __init__(self, place: Place, manifest: Path, waits_for: Mapping[str, asyncio.Event], doctor: Doctor) -> None:
        super().__init__(place, waits_for, doctor)
        self._manifest = manifest
        self._apply = asyncio.Event()
        self._apply.set()

    def repair(self) -> None:
        """Apply the objects again at the next look."""
        self._apply.set()

    async def keep(self) -> None:
        """Apply the objects, and watch the workloads; until cancelled."""
        await self._wait_for_others()
        workloads = find_workloads(self._manifest.read_text(encoding="utf-8"), self.place.component)
        while True:
            if self._apply.is_set():
                await self._apply_objects()
            trouble = await trouble_of(self._lack(workloads))
            if not trouble:
                self._become(State.READY, "")
                self.ready.set()
            elif self.ready.is_set():
                self._become(State.UNHEALTHY, trouble)
            else:
                self._become(State.STARTING, trouble)
            await asyncio.sleep(READY_LOOK_S if self.status.state is State.READY else STARTING_LOOK_S)

    async def _apply_objects(self) -> None:
        """Apply definitions of new kinds, wait until they are served, then apply the rest.

        An operator that starts a moment before its kinds are served takes them for absent and never looks again.
        """
        self._become(State.STARTING, "applies its objects")
        definitions, objects = split(self._manifest.read_text(encoding="utf-8"))
        self.place.dir.mkdir(parents=True, exist_ok=True)
        if definitions:
            await self._until(lambda: self._kubectl([self._write("definitions.yaml", definitions)]))
            await self._until(lambda: trouble_of(self._unserved(definitions)))
        files = [self._write("objects.yaml", objects), *self._secret()]
        await self._until(lambda: self._kubectl(files))
        self._apply.clear()

    async def _until(self, act: Callable[[], Awaitable[str]]) -> None:
        """Act again and again until there is no trouble."""
        while trouble := await act():
            self._become(State.STARTING, trouble)
            await asyncio.sleep(AGAIN_S)

    async def _unserved(self, definitions: list[str]) -> str:
        """Name a kind that the API server does not serve yet."""
        for name in filter(None, map(_name, definitions)):
            plural, _, group = name.partition(".")
            versions = (await self._doctor.get(f"/apis/{group}") or {}).get("versions", [])
            lists = [await self._doctor.get(f"/apis/{version['groupVersion']}") or {} for version in versions]
            if not any(plural == kind["name"] for served in lists for kind in served.get("resources", [])):
                return f"{name} is not served yet"
        return ""

    def _write(self, name: str, documents: list[str]) -> Path:
        path = self.place.dir / name
        path.write_text("---".join(documents), encoding="utf-8")
        return path

    async def _kubectl(self, files: Iterable[Path]) -> str:
        place = self.place
        command = [str(place.home.bin / "kubectl"), "apply", "--server-side", "--force-conflicts"]
        command += [f"--kubeconfig={place.home.kubeconfig}", *(f"--filename={file}" for file in files)]
        place.log.parent.mkdir(parents=True, exist_ok=True)
        try:
            answer = await ask(command, timeout_s=APPLY_TIMEOUT_S)
        except TimeoutError:
            return f"kubectl apply took more than {APPLY_TIMEOUT_S} s"
        except OSError as error:
            return f"kubectl apply: {error.strerror}"
        with place.log.open("a", encoding="utf-8") as log:
            log.write(answer.output)
        return "" if answer.code == 0 else f"kubectl apply: {answer.last_line}"

    def _secret(self) -> list[Path]:
        """Write the component's certificate as a Secret, when the table asks for one."""
        addon, issued = self.place.component.addon, self._issue_certificate()
        if addon is None or addon.tls is None or issued is None:
            return []
        namespace, name = addon.tls.split("/")
        data = dict(zip(("tls.crt", "tls.key"), issued, strict=True))
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": name, "namespace": namespace},
            "data": {field: base64.b64encode(file.read_bytes()).decode() for field, file in data.items()},
        }
        path = self.place.dir / "secret.yaml"
        path.write_text(yaml.safe_dump(secret), encoding="utf-8")
        path.chmod(0o600)
        return [path]

    async def _lack(self, workloads: Iterable[Workload]) -> str:
        for workload in workloads:
            if trouble := _shortage(workload, await self._doctor.get(workload.path)):
                return trouble
        return ""


def split(manifest: str) -> tuple[list[str], list[str]]:
    """Part the definitions of new kinds from the other objects.

    :param manifest: YAML documents.
    """
    documents = _documents(manifest)
    definitions = [text for text in documents if _is_a(text, "CustomResourceDefinition")]
    return definitions, [text for text in documents if text not in definitions]


def _documents(manifest: str) -> list[str]:
    return re.split(r"^---$", manifest, flags=re.MULTILINE)


def _is_a(document: str, *kinds: str) -> bool:
    return re.search(rf"^kind: ({'|'.join(kinds)})$", document, re.MULTILINE) is not None


def _name(document: str) -> str | None:
    found = re.search(r"^metadata:\n(?:  .*\n)*?  name: (\S+)$", document, re.MULTILINE)
    return found.group(1) if found else None


def find_workloads(manifest: str, component: Component) -> list[Workload]:
    """Find what must be available for an add-on to work: sets of pods, and APIs that its pods serve.

    Only the few documents of these kinds are parsed: the definitions beside them are megabytes.

    :param manifest: the rendered objects, as YAML documents.
    """
    found = []
    for text in _documents(manifest):
        if not _is_a(text, *PLURALS, API):
            continue
        document = yaml.load(text, yaml.CSafeLoader)
        kind, metadata = document["kind"], document["metadata"]
        if kind == API:
            found.append(Workload(kind, None, metadata["name"]))
        else:
            found.append(Workload(kind, metadata.get("namespace", "default"), metadata["name"]))
    made_by_operator = component.addon.ready if component.addon else ()
    return [*found, *(Workload.parse(text) for text in made_by_operator)]


def _shortage(workload: Workload, found: dict[str, Any] | None) -> str:
    """Say what a workload lacks, "" when nothing."""
    if found is None:
        return f"{workload} does not exist"
    spec, status = found.get("spec", {}), found.get("status", {})
    if workload.kind == API:
        available = [item for item in status.get("conditions", []) if item["type"] == "Available"]
        if available and available[0]["status"] == "True":
            return ""
        if not available:
            return f"{workload}: no condition yet"
        why = available[0].get("message") or f"Available is {available[0]['status']}"
        return f"{workload}: {why}"
    if workload.kind == "DaemonSet":
        wanted, have = status.get("desiredNumberScheduled", -1), status.get("numberAvailable", 0)
    else:
        wanted, have = spec.get("replicas", 1), status.get("availableReplicas", 0)
        if status.get("updatedReplicas", 0) < wanted:
            have = min(have, status.get("updatedReplicas", 0))
    if status.get("observedGeneration") != found["metadata"].get("generation") or have < wanted or wanted < 0:
        return f"{workload}: {have} of {max(wanted, 0)} pods available"
    return ""
