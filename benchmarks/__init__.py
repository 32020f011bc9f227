"""What is measured, with the limit beside each figure: ``python -m benchmarks.testbed --help``."""
