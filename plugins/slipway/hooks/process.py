"""Runs a program that ends with its task: an argument list, a time limit, progress lines, no secret in a log.

A task that Airflow gives up is killed with its process; a builder or a `helm upgrade` that lived on would act for a
release that somebody else has taken over. So every program runs under `warden.py`, in a process group of its own.
"""

from __future__ import annotations

import base64
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import quote

from slipway.errors import ExternalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

WARDEN = Path(__file__).with_name("warden.py")
LAST_LINES = 12
CHUNK_BYTES = 65536
GRACE_S = 5.0
MASK = "***"
SHORTEST_LINE_OF_A_SECRET = 8


class Masker:
    """Replaces secrets in text, also where they stand URL-quoted, in base64, or line by line.

    :param secrets: what must not be shown; empty ones are left out.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms: set[str] = set()
        for secret in filter(None, secrets):
            forms |= {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode()}
            forms |= {line for line in secret.splitlines() if len(line) >= SHORTEST_LINE_OF_A_SECRET}
        self._forms = sorted(forms, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return the text without the secrets."""
        for form in self._forms:
            text = text.replace(form, MASK)
        return text


@dataclass(frozen=True)
class Completed:
    """A program that has ended.

    :param argv: the program and its arguments, secrets masked.
    :param returncode: its exit code; 128 + n when signal n ended it.
    :param stdout: its output as it was, secrets and all: do not log it.
    :param stderr: its error output, secrets masked.
    :param elapsed_s: how long it ran, in seconds.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    elapsed_s: float
    _mask: Masker = field(default_factory=lambda: Masker(()), repr=False, compare=False)

    @property
    def last_words(self) -> str:
        """The last lines of the error output, or of the output if there is nothing else; secrets masked."""
        text = self.stderr.strip() or self._mask(self.stdout).strip()
        lines = [line for line in text.splitlines() if line.strip()]
        return "\n".join(lines[-LAST_LINES:]) or f"no output, exit code {self.returncode}"

    def require(self, what: str, *, error: type[ExternalError] = ExternalError, mend: str | None = None) -> Completed:
        """Return this when the program succeeded.

        :param what: the sentence to raise: what failed, and where.
        :param error: what to raise.
        :param mend: what the reader is to do.
        :raises ExternalError: it did not exit with 0; its last words are in it.
        """
        if self.returncode != 0:
            raise error(what, found=f"exit code {self.returncode}: {self.last_words}", mend=mend)
        return self


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | bytes | None = None,
    log: Callable[[str], object] | None = None,
    log_stdout: bool = False,
    secrets: Iterable[str] = (),
    error: type[ExternalError] = ExternalError,
) -> Completed:
    """Run a program to its end, whatever its exit code.

    The program and all that it started are gone when this returns or raises, and also when this process dies.

    :param argv: the program and its arguments; never through a shell. Secrets belong into `env` or `stdin`.
    :param timeout_s: seconds after which everything is ended: SIGTERM, and SIGKILL 5 s later.
    :param env: its whole environment; ours when left out.
    :param cwd: the folder to run in.
    :param stdin: what it reads; nothing when left out.
    :param log: takes each line of the error output as it comes, secrets masked.
    :param log_stdout: `log` takes the lines of the output as well.
    :param secrets: what is masked in logged lines, in the error output and in errors.
    :param error: what to raise.
    :raises ExternalError: the program is not installed, or did not end in time.
    """
    mask = Masker(secrets)
    shown = tuple(mask(argument) for argument in argv)
    started = time.monotonic()
    with _input(stdin) as source:
        process, alive = start(argv, env=env, cwd=cwd, stdin=source, stderr=subprocess.PIPE)
    try:
        with process:
            reader = _Reader(process, mask, log, log_stdout=log_stdout)
            try:
                ended = reader.read_until(started + timeout_s) and _wait(process, started + timeout_s)
            finally:
                end(process)
    finally:
        os.close(alive)
    elapsed_s = time.monotonic() - started
    if not ended:
        raise error(
            f"{shown[0]} did not end within {timeout_s:g} s and was stopped",
            found=f"{' '.join(shown)}\n{reader.last_words}".rstrip(),
            mend="look at the load of the machine and at the system it speaks to, then try again",
        )
    completed = Completed(
        shown, process.returncode, reader.text("stdout"), mask(reader.text("stderr")), elapsed_s, mask
    )
    if completed.returncode == NOT_STARTED and f"{argv[0]} could not be started" in reader.text("stderr"):
        raise error(
            f"{shown[0]} could not be started",
            found=completed.last_words,
            mend=f"install {shown[0]}, or add its folder to PATH",
        )
    return completed


NOT_STARTED = 127


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None,
    stdin: IO[bytes] | int,
    stderr: int,
    cwd: Path | None = None,
) -> tuple[subprocess.Popen[bytes], int]:
    """Start a program under the warden, in a process group of its own, its output in a pipe.

    :param stdin: as `subprocess.Popen` takes it, and `stderr` likewise.
    :return: the process, and a file descriptor: the program and all that it started are ended when it is closed, as
        it is when this process dies.
    :raises OSError: the warden could not be started.
    """
    alive_read, alive = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(WARDEN), str(alive_read), *argv],
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            pass_fds=(alive_read,),
            start_new_session=True,
        )
    except BaseException:
        os.close(alive)
        raise
    finally:
        os.close(alive_read)
    return process, alive


class _Reader:
    """Reads both outputs of a process as they come, and hands their lines on."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        mask: Masker,
        log: Callable[[str], object] | None,
        *,
        log_stdout: bool,
    ) -> None:
        self._mask = mask
        self._log = log
        self._logged = {"stderr", "stdout"} if log_stdout else {"stderr"}
        self._chunks: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        self._rest: dict[str, bytes] = {"stdout": b"", "stderr": b""}
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._selector = selectors.DefaultSelector()
        for name, stream in (("stdout", process.stdout), ("stderr", process.stderr)):
            if stream is not None:
                self._selector.register(stream, selectors.EVENT_READ, name)

    @property
    def last_words(self) -> str:
        """The last lines, secrets masked."""
        return "\n".join(self._last)

    def text(self, name: str) -> str:
        """Return one output as a whole, as it was."""
        return b"".join(self._chunks[name]).decode("utf-8", errors="replace")

    def read_until(self, deadline: float) -> bool:
        """Read until both outputs are closed, and return True; or False at the deadline.

        :param deadline: moment on the monotonic clock, in seconds.
        """
        try:
            while self._selector.get_map():
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return False
                for key, _ in self._selector.select(left_s):
                    self._read(key)
            return True
        finally:
            self._selector.close()

    def _read(self, key: selectors.SelectorKey) -> None:
        chunk = os.read(key.fd, CHUNK_BYTES)
        name = str(key.data)
        if not chunk:
            self._selector.unregister(key.fileobj)
            self._hand_on(name, self._rest[name])
            return
        self._chunks[name].append(chunk)
        *lines, self._rest[name] = (self._rest[name] + chunk).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._hand_on(name, line)

    def _hand_on(self, name: str, line: bytes) -> None:
        text = self._mask(line.decode("utf-8", errors="replace")).rstrip()
        if not text:
            return
        if name == "stderr" or name in self._logged:
            self._last.append(text)
        if self._log is not None and name in self._logged:
            self._log(text)


def _input(content: str | bytes | None) -> IO[bytes]:
    if content is None:
        return Path(os.devnull).open("rb")
    # In memory and without a name, because it may be a secret; and no pipe, which could fill up before it is read.
    file = os.fdopen(os.memfd_create("stdin"), "w+b")
    file.write(content.encode() if isinstance(content, str) else content)
    file.seek(0)
    return file


def _wait(process: subprocess.Popen[bytes], deadline: float) -> bool:
    try:
        process.wait(max(deadline - time.monotonic(), 0.0))
    except subprocess.TimeoutExpired:
        return False
    return True


def end(process: subprocess.Popen[bytes], *, grace_s: float = GRACE_S) -> None:
    """End the whole group of a process, politely first; nothing happens when it has ended.

    :param grace_s: seconds between SIGTERM and SIGKILL.
    """
    if process.poll() is not None:
        return
    for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, None)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
            return
