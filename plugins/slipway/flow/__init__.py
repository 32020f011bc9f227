"""The release, phase by phase: plain functions that tasks, command line and watchdog call alike.

Each observes before it acts, and may be called again, or be killed between any two lines.
"""
