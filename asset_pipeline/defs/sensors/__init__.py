"""Sensors: what follows files, clips and dead processes; alerts."""
