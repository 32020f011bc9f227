"""Release spec, environment and parameters: typed, closed, and refused with place, value and mend.

Pure: pydantic, PyYAML and jsonschema, no client and no Airflow.
"""

from slipway.spec.catalog import Catalog
from slipway.spec.environment import Environment, load_environment
from slipway.spec.findings import Finding
from slipway.spec.parameters import ReleaseParameters, RollbackParameters
from slipway.spec.release import ReleaseSpec, load_release
from slipway.spec.values import ImageRef, values_for
from slipway.spec.version import Version

__all__ = [
    "Catalog",
    "Environment",
    "Finding",
    "ImageRef",
    "ReleaseParameters",
    "ReleaseSpec",
    "RollbackParameters",
    "Version",
    "load_environment",
    "load_release",
    "values_for",
]
