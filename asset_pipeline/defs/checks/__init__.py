"""Asset checks: clips are stored, whole, as requested, and shown correctly in Dagster."""
