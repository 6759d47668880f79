"""A vendor's or agency's JSON API of alerts as a source: everything that differs between them is in the city's file."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pandas as pd
import pyarrow as pa

from shotspotter_assets.calendar.local_time import day_start
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import EPOCH_UNITS, AlertsApiSource
from shotspotter_assets.sources.alert_source import AlertSource, SourceError
from shotspotter_assets.sources.api.http import Answer, JsonApi
from shotspotter_assets.sources.api.json_rows import ONE_DAY, AskedDays, Row, finder, to_raw_rows

Query = dict[str, str | int]


class AlertsApi(AlertSource):
    """An API that is asked for the alerts between two instants.

    If a `source_id` has several versions, the latest is used; alerts that were withdrawn are left out.

    Rows are filed under the local day of their time; those without a readable time, from before the city's start or
    from the future under the city's first day. These can only be found by asking for all days, which is done when the
    first day is asked for.
    """

    is_live = True

    def __init__(self, city: City, source: AlertsApiSource, token: str | None) -> None:
        """`token` is the content of the variable that the city's file names."""
        self.city = city
        self.source = source
        self.address = re.sub(r"\?.*", "", source.url)
        self._token = token

    def read(self, first: date, last: date) -> pa.Table:
        """See `AlertSource.read`.

        Raises:
            SourceError: the token is not set, or the API cannot be asked, refuses, or answers in another form than
                the city's file says.
        """
        asked = AskedDays.from_city(self.city, first, last)
        begin, end = (asked.start, asked.today) if asked.with_unusable else (first, last)
        with JsonApi(self.city, self.source.patience, self.source.token, self._token) as api:
            urls = self._requests(begin - ONE_DAY, end + 2 * ONE_DAY)
            rows = [row for url in urls for row in self._pages(api, url)]
        return to_raw_rows(self._latest(rows), self.city, self.source, self.address, asked)

    def _requests(self, begin: date, end: date) -> Iterator[str]:
        """Yield addresses that cover the days from `begin` to before `end`, each with as many days as the API allows."""
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
        find_rows, name = finder(path), paging.parameter or paging.style
        position = {"page": paging.first_page, "offset": 0}.get(paging.style)
        size: Query = {paging.size_parameter: paging.size} if paging.size_parameter else {}
        step: tuple[str, Query] | None = (url, size if position is None else size | {name: position})
        asked: list[tuple[str, Query]] = []
        before: list[Row] = []
        while step is not None:
            if step in asked:
                raise api.error(*step, "this page was there before; correct source.paging in the city's file")
            answer = api.get(*step)
            rows = find_rows(answer.content)
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise api.error(
                    *step, f"there is no list of alerts at {path!r}; correct source.rows in the city's file"
                )
            if rows and rows == before:
                raise api.error(*step, "the same rows as on the page before; correct source.paging in the city's file")
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
        """Return the latest version of each alert, without those that were withdrawn."""
        source, name = self.source, self.source.columns.source_id
        if rows and name is not None and (source.version or source.withdrawn):
            alerts = pd.DataFrame({"id": [finder(name)(row) for row in rows]})
            if source.version is not None:
                alerts["version"] = self._versions([finder(source.version)(row) for row in rows])
                alerts = alerts.sort_values("version", kind="stable", na_position="first")
            latest = alerts[alerts["id"].isna() | ~alerts["id"].duplicated(keep="last")]
            rows = [rows[position] for position in sorted(latest.index)]
        if source.withdrawn is None:
            return rows
        is_withdrawn = finder(source.withdrawn)
        return [row for row in rows if not is_withdrawn(row)]

    def _versions(self, values: list[Any]) -> "pd.Series[Any]":
        texts = pd.Series(values, dtype=object)
        numbers = pd.to_numeric(texts, errors="coerce")
        if (numbers.notna() == texts.notna()).all():
            return numbers
        instants = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
        if (unreadable := texts[instants.isna() & texts.notna()]).size:
            raise SourceError(
                f"City {self.city.name}: {self.address}: the version {unreadable.iloc[0]!r} is neither a number nor an ISO 8601 "
                "time; correct source.version in the city's file."
            )
        return instants
