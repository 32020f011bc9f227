"""The one file that Airflow loads from this folder: says that slipway is there. Imports nothing heavy, on purpose."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin


class SlipwayPlugin(AirflowPlugin):
    """slipway, as the page Admin > Plugins shows it."""

    name = "slipway"
