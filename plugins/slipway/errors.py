"""One tree of exceptions.

SlipwayError
├── SpecError              a release spec, an environment or parameters are refused; nothing was touched
├── RefusedError           a precondition does not hold (version released, release active, secret missing)
├── GateError              a gate said no: image size, user, vulnerabilities, chart, diff
├── FencedError            another actor has taken the release over; stop at once, change nothing
├── VerdictError           the canary is worse; the release goes back
└── ExternalError          another system did not do as asked
    ├── BuildError         image builder, scanner
    ├── RegistryError      image registry
    ├── HelmError          helm
    ├── ClusterError       Kubernetes, Argo Rollouts
    ├── MetricsError       Prometheus
    ├── DatabaseError      PostgreSQL of the application, backup and restore
    ├── LedgerError        slipway's own database
    └── NotificationError  DingTalk, Slack, mail
"""

from __future__ import annotations


class SlipwayError(Exception):
    """Something a person must read: what happened, where, what was found, what to do.

    :param what: one sentence, with the place in it.
    :param found: what was found there, or None; never a secret.
    :param mend: what to do now, in the imperative.
    """

    def __init__(self, what: str, *, found: str | None = None, mend: str | None = None) -> None:
        """Keep the parts, so that a page or a message can lay them out by itself."""
        super().__init__(what, found, mend)
        self.what = what
        self.found = found
        self.mend = mend

    def __str__(self) -> str:
        """Return the error as lines for a log."""
        lines = [self.what]
        if self.found is not None:
            lines.append(f"  found  {self.found}")
        if self.mend is not None:
            lines.append(f"  do     {self.mend}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling between processes, keyword arguments included."""
        return (_remake, (type(self), self.what, self.found, self.mend))


def _remake(kind: type[SlipwayError], what: str, found: str | None, mend: str | None) -> SlipwayError:
    return kind(what, found=found, mend=mend)


class SpecError(SlipwayError):
    """A release spec, an environment or parameters are refused; nothing was touched."""


class RefusedError(SlipwayError):
    """A precondition does not hold; nothing was touched."""


class GateError(SlipwayError):
    """A gate said no."""


class FencedError(SlipwayError):
    """Another actor has taken the release over: stop at once and change nothing."""


class VerdictError(SlipwayError):
    """The canary is worse than the stable version, or could not be shown to be as good."""


class ExternalError(SlipwayError):
    """Another system did not do as asked."""


class BuildError(ExternalError):
    """The image builder or the scanner failed."""


class RegistryError(ExternalError):
    """The image registry failed."""


class HelmError(ExternalError):
    """Helm failed."""


class ClusterError(ExternalError):
    """Kubernetes or Argo Rollouts did not do as asked."""


class MetricsError(ExternalError):
    """Prometheus could not answer. This says nothing about the canary."""


class DatabaseError(ExternalError):
    """The application's PostgreSQL, a backup or a restore failed."""


class LedgerError(ExternalError):
    """slipway's own database could not be read or written."""


class NotificationError(ExternalError):
    """A channel did not take a message."""
