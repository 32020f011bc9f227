"""Faults that a test asks a channel to show."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from testbed.sinks.message import Channel


class Fault(BaseModel):
    """How a channel misbehaves. At least one of status, errcode and delay_s is given.

    :param status: the HTTP status to answer with, or the reply code of the mail server.
    :param errcode: DingTalk's error code to answer with, with HTTP 200.
    :param errmsg: the words of the answer.
    :param delay_s: wait so long before anything else; alone, the message then goes its usual way.
    :param times: for so many messages only; for all without it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: int | None = Field(default=None, ge=400, le=599)
    errcode: int | None = None
    errmsg: str = Field(default="fault on purpose", pattern=r"^[^\r\n]{1,200}$")
    delay_s: float = Field(default=0, ge=0, le=600)
    times: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.status is None and self.errcode is None and not self.delay_s:
            raise ValueError("give status, errcode or delay_s")
        if self.status is not None and self.errcode is not None:
            raise ValueError("give status or errcode, not both")
        return self

    @property
    def reason(self) -> str | None:
        """Why a message is refused by this fault; None when it is only slow."""
        if self.errcode is not None:
            return f"fault: errcode {self.errcode} {self.errmsg}"
        return None if self.status is None else f"fault: status {self.status} {self.errmsg}"


class Faults:
    """The fault of each channel, if any."""

    def __init__(self) -> None:
        self._faults: dict[Channel, Fault] = {}

    def put(self, channel: Channel, fault: Fault) -> None:
        """Let a channel misbehave from the next message on.

        :raises ValueError: only DingTalk has an errcode.
        """
        if fault.errcode is not None and channel is not Channel.DINGTALK:
            raise ValueError(f"{channel} has no errcode; give status")
        self._faults[channel] = fault

    def clear(self) -> None:
        """Let every channel behave."""
        self._faults.clear()

    def all(self) -> dict[Channel, Fault]:
        """Return the faults that are on."""
        return dict(self._faults)

    def take(self, channel: Channel) -> Fault | None:
        """Return the fault for one message, and count it."""
        fault = self._faults.get(channel)
        if fault is not None and fault.times is not None:
            if fault.times == 1:
                del self._faults[channel]
            else:
                self._faults[channel] = fault.model_copy(update={"times": fault.times - 1})
        return fault
