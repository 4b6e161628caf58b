"""Everything that imports Dagster: assets, checks, sensors, resources and their events."""
