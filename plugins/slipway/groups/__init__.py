"""The task groups that dags/release.py lists. Heavy imports stay inside tasks: each task parses the DAG file again."""
