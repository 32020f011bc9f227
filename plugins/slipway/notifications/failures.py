"""What a channel says when it did not take a message."""

from __future__ import annotations

from slipway.errors import NotificationError


class TemporaryError(NotificationError):
    """A channel did not take a message now; the same message may go through later.

    :param retry_after_s: seconds that the channel asked to wait, or that are known to be needed.
    """

    def __init__(
        self, what: str, *, found: str | None = None, mend: str | None = None, retry_after_s: float = 0
    ) -> None:
        """Keep the parts."""
        super().__init__(what, found=found, mend=mend)
        self.retry_after_s = retry_after_s
