"""The code location: everything in `defs`, loaded by folder."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """All assets, checks and resources."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
