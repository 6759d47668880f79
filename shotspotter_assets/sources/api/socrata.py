"""A data set of a Socrata portal as a source, through SODA 2.1 (https://dev.socrata.com/docs/queries/)."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from shotspotter_assets.calendar.local_time import today
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import EPOCH_UNITS, PLAIN_KEY, SocrataSource
from shotspotter_assets.sources.api.http import JsonApi, Token
from shotspotter_assets.sources.api.json_rows import (
    ONE_DAY,
    AskedDays,
    Row,
    day_of,
    to_raw_rows,
    top_level_keys,
    versions_of_days,
)
from shotspotter_assets.sources.protocol import SourceError

ATTEMPTS = 3
"""How often a range is read from its start because the publisher changes rows in the meantime."""

MAX_UNCHECKED_ROWS = 1000
"""Fewer rows come on one page whatever a portal's limit (1000 is the default); more are counted afterwards."""

ROW_ID, ROW_CHANGED = ":id", ":updated_at"
"""System fields of every data set. No two rows have the same id, so that pages that are ordered by it have each row once."""


class SocrataDataset:
    """A data set that is asked for all days of a range in one query, page by page.

    Rows are filed under the local day of their time. Rows without a usable time, from before the city's start or
    from the future are filed under the city's first day.
    """

    def __init__(self, city: City, source: SocrataSource, token: str | None) -> None:
        """`token` is the portal's app token; null to ask without one."""
        self.city = city
        self.source = source
        self.address = f"{source.domain.rstrip('/')}/resource/{source.dataset}"
        self._token = None if token is None else Token(token, header="X-App-Token")

    def read(self, first: date, last: date) -> pa.Table:
        """See `AlertSource.read`.

        Raises:
            SourceError: the portal cannot be asked, refuses the query, or changes the rows with every attempt.
        """
        asked = AskedDays.from_city(self.city, first, last)
        with JsonApi(self.city, self.source.patience, self._token) as api:
            for _ in range(ATTEMPTS):
                rows = [row for page in self._pages(api, self._condition(asked)) for row in page]
                if len(rows) < min(self.source.page_size, MAX_UNCHECKED_ROWS) or self._are_whole(api, rows, asked):
                    return to_raw_rows(_without_system_fields(rows), self.city, self.source, self.address, asked)
        raise SourceError(
            f"City {self.city.name}: {self.address}: {first} to {last}: the pages did not hold all rows, {ATTEMPTS} times "
            "in a row. The publisher is changing them (try again later), or its portal gives fewer rows than asked for (set "
            "source.page_size to 1000)."
        )

    @property
    def counts_by_day(self) -> bool:
        """Whether the portal can count rows by local day."""
        return self.source.naive_times == "local" and self.source.time_format is None and self._can_filter()

    def changed_days(self, first: date, last: date) -> dict[date, str]:
        """See `ChangingSource.changed_days`: number of rows and time of the last change, counted by the portal.

        Only floating timestamps on the city's clock can be counted by local day; other rows are read.
        """
        source = self.source
        if not self.counts_by_day:
            return versions_of_days(self.read(first, last))
        asked = AskedDays.from_city(self.city, first, last)
        day = f"date_trunc_ymd({source.columns.time})"
        query = {
            "$select": f"{day} as day,count(*) as number,max({ROW_CHANGED}) as changed",
            "$group": day,
            "$order": day,
            "$where": self._condition(asked),
            "$limit": source.page_size,
        }
        with JsonApi(self.city, source.patience, self._token) as api:
            groups: list[Row] = []
            while page := self._rows(api, query | {"$offset": len(groups)}):
                groups += page
                if len(page) < source.page_size:
                    break
        versions: dict[date, str] = {}
        for group in groups:
            filed = date.fromisoformat(group["day"][:10]) if group.get("day") else asked.start
            filed = filed if asked.start <= filed <= asked.today else asked.start
            if first <= filed <= last:
                version = f"{group['number']}@{group.get('changed')}"
                versions[filed] = f"{versions[filed]} {version}" if filed in versions else version
        return versions

    def newest_day(self) -> date | None:
        """See `DatedSource.newest_day`; None where times cannot be compared."""
        if not self._can_filter():
            return None
        time = self.source.columns.time
        begun = f"{time} < {self._literal()(today(self.city.zone) + ONE_DAY)}"
        query = {
            "$select": ",".join(top_level_keys(self.source)),
            "$where": f"({self.source.where}) AND {begun}" if self.source.where else begun,
            "$order": f"{time} DESC",
            "$limit": 1,
        }
        with JsonApi(self.city, self.source.patience, self._token) as api:
            rows = self._rows(api, query)
        return day_of(rows[0], self.city, self.source, self.address) if rows else None

    def _pages(self, api: JsonApi, condition: str) -> Iterator[list[Row]]:
        size, offset = self.source.page_size, 0
        columns = ",".join(dict.fromkeys((ROW_ID, ROW_CHANGED, *top_level_keys(self.source))))
        while True:
            query = {"$select": columns, "$order": ROW_ID, "$limit": size, "$offset": offset}
            page = self._rows(api, query | ({"$where": condition} if condition else {}))
            yield page
            offset += len(page)
            if len(page) < size:
                return

    def _are_whole(self, api: JsonApi, rows: list[Row], asked: AskedDays) -> bool:
        """Whether the rows of several pages are those that the data set has now."""
        query = {"$select": f"count(*) as number,max({ROW_CHANGED}) as changed", "$where": self._condition(asked)}
        now = self._rows(api, query)[0]
        changed = max(_instant(row[ROW_CHANGED]) for row in rows)
        return len({row[ROW_ID] for row in rows}) == len(rows) == int(now["number"]) and (
            _instant(now["changed"]) == changed
        )

    def _rows(self, api: JsonApi, query: dict[str, Any]) -> list[Row]:
        address = f"{self.address}.json"
        content = api.get(address, query).content
        if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
            raise api.error(
                address, query, "the answer is not a list of rows; check domain and dataset in the city's file"
            )
        return content

    def _condition(self, asked: AskedDays) -> str:
        """The rows wanted, in SoQL; all rows of the data set where times cannot be compared."""
        conditions = [self.source.where] if self.source.where else []
        if self._can_filter():
            conditions.append(asked.condition(self.source.columns.time, self._literal()))
        return " AND ".join(f"({condition})" for condition in conditions)

    def _can_filter(self) -> bool:
        """Whether times can be compared: timestamps, ISO text and numbers can, text in another form cannot."""
        time_format, is_plain = self.source.time_format, PLAIN_KEY.fullmatch(self.source.columns.time) is not None
        return is_plain and (time_format is None or time_format in EPOCH_UNITS)

    def _literal(self) -> Callable[[date], str]:
        unit = EPOCH_UNITS.get(self.source.time_format or "")
        if unit is None:
            return lambda day: f"'{day.isoformat()}T00:00:00'"
        return lambda day: str(int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * unit)


def _without_system_fields(rows: list[Row]) -> list[Row]:
    return [{key: value for key, value in row.items() if key not in (ROW_ID, ROW_CHANGED)} for row in rows]


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
