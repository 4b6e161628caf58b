"""Partitions, jobs, schedules, sensors and asset checks."""
