"""The command line: one module a group of commands.

Nothing heavy is imported before a command needs it: ``--help`` answers at once, and only commands
that run or ask Dagster pay for its second and a half of imports.
"""

from asset_pipeline.cli.app import main

__all__ = ["main"]
