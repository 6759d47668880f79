"""A data set of a Socrata portal as a source, through SODA 2.1 (https://dev.socrata.com/docs/queries/)."""

from collections.abc import Iterator
from typing import Final

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import EPOCH_UNITS, PLAIN_KEY, SentToken, SocrataSource
from shotspotter_assets.sources.api.api_source import ApiReader, AskedDays, both, epoch_literal, top_level_keys
from shotspotter_assets.sources.api.http import JsonApi
from shotspotter_assets.sources.raw_rows import Row

ROW_ID: Final = ":id"
"""System field with a unique id, by which pages are ordered."""
MIN_FULL_PAGE: Final = 1000
"""Minimum of a page with a successor, whatever the portal's own limit of rows."""


class SocrataDataset(ApiReader[SocrataSource]):
    """A data set that is asked for a range of days in one query, page by page."""

    def __init__(self, city: City, source: SocrataSource, token: str | None) -> None:
        sent = SentToken(variable=source.token_variable or "TOKEN", name="X-App-Token", prefix="") if token else None
        super().__init__(city, source, f"{source.domain.rstrip('/')}/resource/{source.dataset}", sent, token)

    def _rows(self, api: JsonApi, asked: AskedDays) -> Iterator[Row]:
        size, url = self.source.page_size, f"{self.address}.json"
        columns = ",".join(dict.fromkeys((ROW_ID, *top_level_keys(self.source))))
        query: dict[str, str | int] = {"$select": columns, "$order": ROW_ID, "$limit": size, "$offset": 0}
        if condition := both(self.source.where, self._days(asked)):
            query["$where"] = condition
        has_more = True
        while has_more:
            page = api.get(url, query).content
            if not isinstance(page, list) or not all(isinstance(row, dict) for row in page):
                problem = "the answer is not a list of rows; check domain and dataset in the city's file"
                raise api.error(url, query, problem)
            yield from ({key: value for key, value in row.items() if key != ROW_ID} for row in page)
            query["$offset"] = int(query["$offset"]) + len(page)
            has_more = len(page) >= min(size, MIN_FULL_PAGE)

    def _days(self, asked: AskedDays) -> str:
        """Return the condition on the days; empty for times as other text, which cannot be compared."""
        time, time_format = self.source.columns.time, self.source.time_format
        if not PLAIN_KEY.fullmatch(time) or not (time_format is None or time_format in EPOCH_UNITS):
            return ""
        return asked.condition(time, epoch_literal(time_format) or (lambda day: f"'{day.isoformat()}T00:00:00'"))
