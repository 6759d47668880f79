"""A vendor's or agency's JSON API of alerts as a source: everything that differs between them is in the city's file."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pandas as pd
import pyarrow as pa

from shotspotter_assets.calendar.local_time import day_start
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import EPOCH_UNITS, AlertsApiSource
from shotspotter_assets.sources.api.http import Answer, JsonApi, sent_token
from shotspotter_assets.sources.api.json_rows import ONE_DAY, AskedDays, Row, finder, to_raw_rows, versions_of_days
from shotspotter_assets.sources.protocol import SourceError

Query = dict[str, str | int]


class AlertsApi:
    """An API that is asked for the alerts between two instants and for the corrections since the first of these.

    A correction is made after its alert, so that those since the first day include all that concern the days. If a
    `source_id` has several versions, the latest is used, also where it moves the alert to another day.

    Rows are filed under the local day of their time; those without a readable time, from before the city's start or
    from the future under the city's first day. These can only be found by asking for all days, which is done when the
    first day is asked for.
    """

    counts_by_day = False

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
        begin, end = begin - ONE_DAY, end + 2 * ONE_DAY
        token = sent_token(self.city.name, self.address, self.source.token, self._token)
        with JsonApi(self.city, self.source.patience, token) as api:
            rows = [row for url in self._questions(begin, end) for row in self._pages(api, url, self.source.rows)]
            corrections = self.source.corrections
            if corrections is not None:
                url = self._filled(corrections.url, since=day_start(begin, self.city.zone))
                rows += self._pages(api, url, corrections.rows or self.source.rows)
        return to_raw_rows(self._latest(rows), self.city, self.source, self.address, asked)

    def changed_days(self, first: date, last: date) -> dict[date, str]:
        """See `ChangingSource.changed_days`: alerts and corrections are read."""
        return versions_of_days(self.read(first, last))

    def _questions(self, begin: date, end: date) -> Iterator[str]:
        """Addresses that cover the days from `begin` to before `end`, each with as many days as the API allows."""
        step = timedelta(days=self.source.longest_days or (end - begin).days)
        while begin < end:
            stop = min(begin + step, end)
            yield self._filled(
                self.source.url, first=day_start(begin, self.city.zone), last=day_start(stop, self.city.zone)
            )
            begin = stop

    def _filled(self, template: str, **instants: datetime) -> str:
        for name, instant in instants.items():
            template = template.replace(f"{{{name}}}", quote(self._written(instant), safe=""))
        return template

    def _written(self, instant: datetime) -> str:
        unit = EPOCH_UNITS.get(self.source.instant_format)
        if unit is not None:
            return str(int(instant.timestamp()) * unit)
        return instant.astimezone(UTC).strftime(self.source.instant_format)

    def _pages(self, api: JsonApi, url: str, rows_path: str) -> Iterator[Row]:
        paging, find_rows = self.source.paging, finder(rows_path)
        name = paging.parameter or paging.style
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
                raise api.error(*step, f"there is no list of alerts at {rows_path!r}; correct rows in the city's file")
            if rows and rows == before:
                raise api.error(*step, "the same rows as on the page before; correct source.paging in the city's file")
            yield from rows
            asked.append(step)
            before = rows
            if position is not None:
                position += 1 if paging.style == "page" else len(rows)
                step = (url, size | {name: position}) if self._has_more(answer, rows) else None
            else:
                step = self._next(api, answer, url, size)

    def _has_more(self, answer: Answer, rows: list[Row]) -> bool:
        next_path = self.source.paging.next
        # A page may hold fewer rows than asked for although more follow, so that only an empty one is surely the last.
        return bool(rows) if next_path is None else bool(finder(next_path)(answer.content))

    def _next(self, api: JsonApi, answer: Answer, url: str, size: Query) -> tuple[str, Query] | None:
        paging = self.source.paging
        target = answer.next_url if paging.style == "link_header" else finder(paging.next or "")(answer.content)
        if not target:
            return None
        if paging.style == "link_header" or re.match("https?://|/", str(target)):
            return api.same_host(str(target), url), {}
        return url, size | {paging.parameter or paging.style: target}

    def _latest(self, rows: list[Row]) -> list[Row]:
        """The latest version of each alert, without those that were taken back."""
        source = self.source
        has_versions = source.version or source.corrections or source.withdrawn
        if source.columns.source_id is None or not has_versions or not rows:
            return rows
        find_id = finder(source.columns.source_id)
        alerts = pd.DataFrame({"id": [find_id(row) for row in rows], "position": range(len(rows))})
        if source.version is not None:
            alerts["version"] = self._versions([finder(source.version)(row) for row in rows])
            alerts = alerts.sort_values(["version", "position"], na_position="first")
        latest = alerts[alerts["id"].isna() | ~alerts["id"].duplicated(keep="last")]
        is_withdrawn: Callable[[Any], Any] = (
            finder(source.withdrawn) if source.withdrawn is not None else lambda row: False
        )
        kept = [rows[position] for position in sorted(latest["position"])]
        return [row for row in kept if not is_withdrawn(row)]

    def _versions(self, values: list[Any]) -> "pd.Series[Any]":
        texts = pd.Series(values, dtype=object)
        numbers = pd.to_numeric(texts, errors="coerce")
        if (numbers.notna() == texts.notna()).all():
            return numbers
        instants = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
        unreadable = texts[instants.isna() & texts.notna()]
        if len(unreadable):
            raise SourceError(
                f"City {self.city.name}: {self.address}: the version {unreadable.iloc[0]!r} is neither a number nor an ISO 8601 "
                "time; correct source.version in the city's file."
            )
        return instants
