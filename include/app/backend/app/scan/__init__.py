"""Scanning: which tables and partitions hold how many small files."""
