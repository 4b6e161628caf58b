"""Dagster resources: configured access to the rooms below.

A resource opens something and hands it out. What is done with it belongs elsewhere.
"""
