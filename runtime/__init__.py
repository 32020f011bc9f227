"""The Airflow of this machine: the parts of a real one, as processes of their own, beside the testbed."""
