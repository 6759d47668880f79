"""A vendor's or agency's JSON API of alerts as a source, described by the city's file."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pandas as pd

from shotspotter_assets.calendar.local_time import day_start
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import EPOCH_UNITS, AlertsApiSource
from shotspotter_assets.sources.alert_source import SourceError
from shotspotter_assets.sources.api.api_source import ONE_DAY, ApiReader, AskedDays
from shotspotter_assets.sources.api.http import Answer, JsonApi
from shotspotter_assets.sources.raw_rows import Row, finder

Query = dict[str, str | int]


class AlertsApi(ApiReader[AlertsApiSource]):
    """An API that is asked for the alerts between two instants.

    The latest version of a `source_id` counts, without withdrawn alerts. Asking for the city's first day asks for all days,
    as only this finds rows without a usable time.
    """

    def __init__(self, city: City, source: AlertsApiSource, token: str | None) -> None:
        super().__init__(city, source, re.sub(r"\?.*", "", source.url), source.token, token)

    def _rows(self, api: JsonApi, asked: AskedDays) -> Iterator[Row]:
        begin, end = (asked.start, asked.today) if asked.with_unusable else (asked.first, asked.last)
        urls = self._requests(begin - ONE_DAY, end + 2 * ONE_DAY)
        rows = self._latest([row for url in urls for row in self._pages(api, url)])
        is_withdrawn = finder(self.source.withdrawn) if self.source.withdrawn else lambda _: False
        return (row for row in rows if not is_withdrawn(row))

    def _requests(self, begin: date, end: date) -> Iterator[str]:
        """Yield addresses for the days from `begin` to before `end`, each with as many days as allowed."""
        step = timedelta(days=self.source.longest_days or (end - begin).days)
        while begin < end:
            stop = min(begin + step, end)
            first, last = (quote(self._written(day_start(day, self.city.zone)), safe="") for day in (begin, stop))
            yield self.source.url.replace("{first}", first).replace("{last}", last)
            begin = stop

    def _written(self, instant: datetime) -> str:
        unit = EPOCH_UNITS.get(self.source.instant_format)
        if unit is not None:
            return str(int(instant.timestamp()) * unit)
        return instant.astimezone(UTC).strftime(self.source.instant_format)

    def _pages(self, api: JsonApi, url: str) -> Iterator[Row]:
        paging, path = self.source.paging, self.source.rows
        name = paging.parameter or paging.style
        position = {"page": paging.first_page, "offset": 0}.get(paging.style)
        size: Query = {paging.size_parameter: paging.size} if paging.size_parameter else {}
        step: tuple[str, Query] | None = (url, size if position is None else size | {name: position})
        asked: list[tuple[str, Query]] = []
        before: list[Row] = []
        while step is not None:
            answer = api.get(*step)
            rows = finder(path)(answer.content)
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                problem = f"there is no list of alerts at {path!r}; correct source.rows in the city's file"
                raise api.error(*step, problem)
            if step in asked or (rows and rows == before):
                raise api.error(*step, "this page was there before; correct source.paging in the city's file")
            yield from rows
            asked.append(step)
            before = rows
            if position is None:
                step = self._next(api, answer, url, size)
            else:
                position += 1 if paging.style == "page" else len(rows)
                # A page may hold fewer rows than asked for although more follow: only an empty one is surely the last.
                has_more = rows if paging.next is None else finder(paging.next)(answer.content)
                step = (url, size | {name: position}) if has_more else None

    def _next(self, api: JsonApi, answer: Answer, url: str, size: Query) -> tuple[str, Query] | None:
        paging = self.source.paging
        is_link = paging.style == "link_header"
        target = answer.next_url if is_link else finder(paging.next or "")(answer.content)
        if not target:
            return None
        if is_link or re.match("https?://|/", str(target)):
            return api.same_host(str(target), url), {}
        return url, size | {paging.parameter or paging.style: target}

    def _latest(self, rows: list[Row]) -> list[Row]:
        """Return the latest version of each alert, in order."""
        source, name = self.source, self.source.columns.source_id
        if not rows or name is None or not (source.version or source.withdrawn):
            return rows
        alerts = pd.DataFrame({"id": list(map(finder(name), rows))})
        if source.version is not None:
            alerts["version"] = self._versions(list(map(finder(source.version), rows)))
            alerts = alerts.sort_values("version", kind="stable", na_position="first")
        latest = alerts[alerts["id"].isna() | ~alerts["id"].duplicated(keep="last")]
        return [rows[position] for position in sorted(latest.index)]

    def _versions(self, values: list[Any]) -> "pd.Series[Any]":
        """Return versions as numbers, or as instants if one is no number."""
        texts = pd.Series(values, dtype=object)
        try:
            return pd.to_numeric(texts)
        except (ValueError, TypeError):
            pass
        try:
            return pd.to_datetime(texts, format="ISO8601", utc=True)
        except (ValueError, TypeError):
            raise SourceError(
                f"City {self.city.name}: {self.address}: the versions, such as {texts.iloc[0]!r}, are neither numbers nor ISO "
                "8601 times; correct source.version in the city's file."
            ) from None
