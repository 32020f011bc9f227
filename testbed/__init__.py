"""A real Kubernetes on one machine, without Docker: ``python -m testbed --help``."""
