"""When Prometheus has read the pods of a version: a query answers with what was read last, however long ago."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slipway.hooks.prometheus import Prometheus


@dataclass(frozen=True)
class Scrapes:
    """The scrapes of one workload's pods.

    :param namespace: of the pods.
    :param label: of the targets, with the pod-template hash.
    """

    prometheus: Prometheus
    namespace: str
    label: str

    def of(self, hash_: str) -> dict[str, float]:
        """Return when each pod of a version was read last, by Prometheus' clock, in seconds since 1970.

        A pod that was never read, or could not be read the last time, is missing.

        :raises MetricsError: no answer.
        """
        # The time of a sample is known of a bare selector alone; that of a sum is the time of the question.
        up = f'up{{namespace="{self.namespace}", {self.label}="{hash_}"}}'
        found = self.prometheus.ask(f"max by (pod) (timestamp({up}) and ({up} == 1))")
        return {item.label("pod"): item.value for item in found}
