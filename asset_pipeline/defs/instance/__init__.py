"""The Dagster instance: where it is, its storage, how it is opened."""
