"""Celery: the tasks, their payloads, the worker and the beat."""
