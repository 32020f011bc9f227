"""Operators that Airflow does not have."""
