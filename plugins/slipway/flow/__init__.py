"""The release, phase by phase: plain functions that tasks, command line and watchdog call alike.

Each observes before it acts, and may be called again, or be killed between any two lines.
"""

from __future__ import annotations

import logging

# A line for each request to cluster and Prometheus would bury what a person looks for at 3 a.m.
for _client in ("httpx", "httpx2"):
    logging.getLogger(_client).setLevel(logging.WARNING)
