"""The software-defined assets.

An asset chooses its partitions, calls a room below and reports. Anything else belongs there.
"""

import warnings

from dagster import BetaWarning

# Backfill policies and observable sources are beta in 1.13; the lock file pins the version that
# they were tried on, so a warning at each start tells nobody anything.
warnings.filterwarnings("ignore", category=BetaWarning, module=r"(dagster|asset_pipeline)\.")
