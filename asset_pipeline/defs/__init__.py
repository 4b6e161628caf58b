"""Everything that imports Dagster: assets, checks, sensors, resources and their events."""

import warnings

# Backfill policies and observable sources are beta in 1.13; the lock file pins the version that
# they were tried on, so a warning at each start tells nobody anything. It is known by its words:
# its class would import Dagster, and finding the instance's folder does without.
warnings.filterwarnings(
    "ignore", message=".* is currently in beta", module=r"(dagster|asset_pipeline)\."
)
