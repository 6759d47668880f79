"""A data set of a Socrata portal as a source, through SODA 2.1 (https://dev.socrata.com/docs/queries/)."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final

import pyarrow as pa

from shotspotter_assets.calendar.local_time import today
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import EPOCH_UNITS, PLAIN_KEY, SentToken, SocrataSource
from shotspotter_assets.sources.alert_source import AlertSource, SourceError
from shotspotter_assets.sources.api.http import JsonApi
from shotspotter_assets.sources.api.json_rows import (
    ONE_DAY,
    AskedDays,
    Row,
    both,
    day_of,
    epoch_literal,
    to_raw_rows,
    top_level_keys,
)

MAX_UNCHECKED_ROWS: Final = 1000
"""Fewer rows come on one page whatever a portal's limit (1000 is the default); more are counted afterwards."""

ROW_ID, ROW_CHANGED = ":id", ":updated_at"
"""System fields of every data set. No two rows have the same id, so that pages that are ordered by it have each row once."""


class SocrataDataset(AlertSource):
    """A data set that is asked for all days of a range in one query, page by page.

    Rows are filed under the local day of their time. Rows without a usable time, from before the city's start or
    from the future are filed under the city's first day.
    """

    is_live = True

    def __init__(self, city: City, source: SocrataSource, token: str | None) -> None:
        """`token` is the portal's app token; null to ask without one."""
        self.city = city
        self.source = source
        self.address = f"{source.domain.rstrip('/')}/resource/{source.dataset}"
        self._token = token
        is_plain, time_format = PLAIN_KEY.fullmatch(source.columns.time) is not None, source.time_format
        # Timestamps, ISO text and numbers can be compared; text in another form cannot.
        self._can_filter = is_plain and (time_format is None or time_format in EPOCH_UNITS)
        # Only floating timestamps on the city's clock can be counted by local day.
        self.counts_by_day = source.naive_times == "local" and time_format is None and self._can_filter

    def read(self, first: date, last: date) -> pa.Table:
        """See `AlertSource.read`.

        Raises:
            SourceError: the portal cannot be asked, refuses the query, or changes rows between the pages.
        """
        asked = AskedDays.from_city(self.city, first, last)
        condition = self._condition(asked)
        columns = ",".join(dict.fromkeys((ROW_ID, ROW_CHANGED, *top_level_keys(self.source))))
        with self._api() as api:
            rows = self._pages(api, {"$select": columns, "$order": ROW_ID} | condition)
            if len(rows) >= min(self.source.page_size, MAX_UNCHECKED_ROWS) and not self._is_whole(api, rows, condition):
                raise SourceError(
                    f"City {self.city.name}: {self.address}: {first} to {last}: the pages did not hold all rows. The publisher is "
                    "changing them (try again later), or its portal gives fewer rows than asked for (set source.page_size to 1000)."
                )
        rows = [{key: value for key, value in row.items() if key not in (ROW_ID, ROW_CHANGED)} for row in rows]
        return to_raw_rows(rows, self.city, self.source, self.address, asked)

    def changed_days(self, first: date, last: date) -> dict[date, str]:
        """See `AlertSource.changed_days`: number of rows and time of the last change, where the portal can count them."""
        if not self.counts_by_day:
            return super().changed_days(first, last)
        asked = AskedDays.from_city(self.city, first, last)
        day = f"date_trunc_ymd({self.source.columns.time})"
        select = f"{day} as day,count(*) as number,max({ROW_CHANGED}) as changed"
        with self._api() as api:
            groups = self._pages(api, {"$select": select, "$group": day, "$order": day} | self._condition(asked))
        versions: dict[date, str] = {}
        for group in groups:
            filed = date.fromisoformat(group["day"][:10]) if group.get("day") else asked.start
            filed = filed if asked.start <= filed <= asked.today else asked.start
            if first <= filed <= last:
                version = f"{group['number']}@{group.get('changed')}"
                versions[filed] = f"{versions[filed]} {version}" if filed in versions else version
        return versions

    def newest_day(self) -> date | None:
        """See `AlertSource.newest_day`; None where times cannot be compared."""
        if not self._can_filter:
            return None
        time = self.source.columns.time
        begun = f"{time} < {self._literal()(today(self.city.zone) + ONE_DAY)}"
        query = {
            "$select": ",".join(top_level_keys(self.source)),
            "$where": both(self.source.where, begun),
            "$order": f"{time} DESC",
            "$limit": 1,
        }
        with self._api() as api:
            rows = self._rows(api, query)
        return day_of(rows[0], self.city, self.source, self.address) if rows else None

    def _api(self) -> JsonApi:
        sent = SentToken(variable=self.source.token_variable or "TOKEN", name="X-App-Token", prefix="")
        return JsonApi(self.city, self.source.patience, sent if self._token else None, self._token)

    def _pages(self, api: JsonApi, query: Mapping[str, str | int]) -> list[Row]:
        rows: list[Row] = []
        while True:
            page = self._rows(api, {**query, "$limit": self.source.page_size, "$offset": len(rows)})
            rows += page
            if len(page) < self.source.page_size:
                return rows

    def _is_whole(self, api: JsonApi, rows: list[Row], condition: dict[str, str]) -> bool:
        """Whether rows are those that the data set has now."""
        [now] = self._rows(api, {"$select": f"count(*) as number,max({ROW_CHANGED}) as changed"} | condition)
        changed = max(datetime.fromisoformat(row[ROW_CHANGED]) for row in rows)
        is_complete = len({row[ROW_ID] for row in rows}) == len(rows) == int(now["number"])
        return is_complete and datetime.fromisoformat(now["changed"]) == changed

    def _rows(self, api: JsonApi, query: dict[str, Any]) -> list[Row]:
        address = f"{self.address}.json"
        content = api.get(address, query).content
        if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
            raise api.error(
                address, query, "the answer is not a list of rows; check domain and dataset in the city's file"
            )
        return content

    def _condition(self, asked: AskedDays) -> dict[str, str]:
        """Return the parameter that selects rows, in SoQL; without one, all rows where times cannot be compared."""
        days = asked.condition(self.source.columns.time, self._literal()) if self._can_filter else ""
        condition = both(self.source.where, days)
        return {"$where": condition} if condition else {}

    def _literal(self) -> Callable[[date], str]:
        return epoch_literal(self.source.time_format) or (lambda day: f"'{day.isoformat()}T00:00:00'")
