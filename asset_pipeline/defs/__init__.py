"""Everything that imports Dagster: assets, checks, sensors, jobs, schedules and resources.

What Dagster sees belongs here, as thin as possible. Rules about money, prompts and files belong in
the rooms below, which do not import Dagster.
"""

import warnings

from dagster import BetaWarning

# Backfill policies and observable sources are beta in 1.13; the lock file pins the version that
# they were tried on, so a warning at each start tells nobody anything.
warnings.filterwarnings("ignore", category=BetaWarning, module=r"(dagster|asset_pipeline)\.")
