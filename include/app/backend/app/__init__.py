"""Hive small-file platform: finds small files in Hive tables and merges them safely."""
