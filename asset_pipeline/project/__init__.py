"""A project from Python: data frames of its tables, its clips as pictures and sound, its commands.

`asset_pipeline.Project` is what people use; see `asset_pipeline.project.project`.
"""
