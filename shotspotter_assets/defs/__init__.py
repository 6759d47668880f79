"""Dagster objects and nothing else: thin assets and checks over the domain code, loaded by folder."""

import warnings

# The pinned Dagster calls these two beta and preview; the tests of the definitions and of the runs stand for them.
for _feature in ("Parameter `backfill_policy` of function `asset`", "Specifying a partitions_def on an AssetCheckSpec"):
    warnings.filterwarnings("ignore", message=_feature)
