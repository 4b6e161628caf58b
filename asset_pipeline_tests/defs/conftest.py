"""A fresh project for each test, on a sandbox for all of them."""

from asset_pipeline_tests.support.project import project, sandbox_url

__all__ = ["project", "sandbox_url"]
