"""Several sources of one city as one, such as police reports beside the alerts."""

from collections.abc import Sequence
from datetime import date

import pyarrow as pa

from shotspotter_assets.sources.protocol import AlertSource
from shotspotter_assets.sources.schema import ORDER


class CombinedSources:
    """The rows of several sources, each filed under the day that its source gives."""

    def __init__(self, sources: Sequence[AlertSource]) -> None:
        self.sources = sources

    def read(self, first: date, last: date) -> pa.Table:
        """See `AlertSource.read`."""
        return pa.concat_tables([source.read(first, last) for source in self.sources]).sort_by(ORDER)


def combined(sources: Sequence[AlertSource]) -> AlertSource:
    """The source that reads all of `sources`."""
    return sources[0] if len(sources) == 1 else CombinedSources(sources)
