"""Everything that imports Dagster: assets, checks, sensors, jobs, schedules and resources.

What Dagster sees belongs here, as thin as possible. Rules about money, prompts and files belong in
the rooms below, which do not import Dagster.
"""
