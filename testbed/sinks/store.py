"""The messages: in memory for the questions, in an append-only file of JSON lines for the next start."""

from __future__ import annotations

import json
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from pydantic import ValidationError

from testbed.sinks.message import Channel, Draft, Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

KEEP = 5_000
FILE = "messages.jsonl"


class Store:
    """Keeps the newest messages. One thread uses it: the event loop of the process.

    A line is a message, or ``{"next_id": N}``, which keeps the ids growing when the messages before are gone.
    Lines that cannot be read are left out: a process that is killed while it writes leaves half a line.

    :param folder: where the file lies; made when it is absent.
    :param keep: how many messages are kept. The file is rewritten when it holds twice as many.
    :raises OSError: the folder cannot be made, or the file cannot be read or written.
    """

    def __init__(self, folder: Path, keep: int = KEEP) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / FILE
        self._messages: deque[Message] = deque(maxlen=keep)
        self._keep = keep
        self._next_id = 1
        self._lines = 0
        self._load()
        # What was torn must not swallow the next line, so every start begins with a clean file.
        self._rewrite()

    @property
    def next_id(self) -> int:
        """The id that the next message gets."""
        return self._next_id

    @property
    def oldest_id(self) -> int:
        """The id of the oldest message that is kept; :attr:`next_id` when there is none."""
        return self._messages[0].id if self._messages else self._next_id

    def add(self, draft: Draft, at: float) -> Message:
        """Keep a message.

        :param at: seconds since the epoch.
        :raises OSError: the file cannot be written.
        """
        message = Message(**dict(draft), id=self._next_id, at=at, accepted=draft.reason is None)
        self._next_id += 1
        self._messages.append(message)
        self._file.write(_line(message))
        self._file.flush()
        self._lines += 1
        if self._lines >= 2 * self._keep:
            self._file.close()
            self._rewrite()
        return message

    def get(self, number: int) -> Message | None:
        """Return the message of that id, or None when there never was one or it is gone."""
        return next((message for message in self._messages if message.id == number), None)

    def find(
        self,
        *,
        channel: Channel | None = None,
        contains: str = "",
        after: int = 0,
        accepted: bool | None = None,
        newest: int | None = None,
    ) -> list[Message]:
        """Return the messages that fit, oldest first.

        :param contains: a piece of title, text or address, in whichever case.
        :param after: only messages with a greater id.
        :param newest: no more than so many, the newest ones.
        """
        needle = contains.casefold()
        found = (
            message
            for message in reversed(self._messages)
            if message.id > after
            and channel in (None, message.channel)
            and accepted in (None, message.accepted)
            and needle in f"{message.title}\n{message.text}\n{message.to}".casefold()
        )
        return list(islice(found, newest))[::-1]

    def counts(self) -> dict[Channel, int]:
        """Return how many messages of each channel are kept."""
        return {channel: sum(one.channel == channel for one in self._messages) for channel in Channel}

    def clear(self) -> int:
        """Forget every message, in the file too, and return how many there were. Ids go on where they were.

        :raises OSError: the file cannot be written.
        """
        gone = len(self._messages)
        self._messages.clear()
        self._file.close()
        self._rewrite()
        return gone

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _load(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as lines:
            for entry in _entries(lines):
                if isinstance(entry, Message):
                    self._messages.append(entry)
                    entry = entry.id + 1
                self._next_id = max(self._next_id, entry)

    def _rewrite(self) -> None:
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(json.dumps({"next_id": self._next_id}).encode() + b"\n")
            file.writelines(map(_line, self._messages))
        fresh.replace(self._path)
        self._file = self._path.open("ab")
        self._lines = len(self._messages)


def _line(message: Message) -> bytes:
    # ASCII only: a line that is torn inside a character is then no special case, nor is U+2028.
    return json.dumps(message.model_dump(mode="json")).encode() + b"\n"


def _entries(lines: Iterable[bytes]) -> Iterator[Message | int]:
    for line in lines:
        try:
            row = json.loads(line)
            yield int(row["next_id"]) if "next_id" in row else Message.model_validate(row)
        except (ValueError, TypeError, ValidationError):
            continue
