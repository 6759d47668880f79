"""The base of all live sources: the days to ask for, the loop over pages, and rows of JSON as `RAW_SCHEMA`."""

import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

from shotspotter_assets.alerts.sources.alert_source import AlertSource
from shotspotter_assets.alerts.sources.tabular_settings import EPOCH_UNITS, ApiSettings, Row, SentToken, finder
from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.cities.source_settings import Site

if TYPE_CHECKING:
    import pyarrow as pa

    from shotspotter_assets.alerts.sources.api.http import Answer, JsonApi

Settings = TypeVar("Settings", bound=ApiSettings)


class AskedDays(NamedTuple):
    """Local days that are asked for, `first` to `last`, and the range of usable times, `start` to `today`."""

    first: date
    last: date
    start: date
    today: date
    since: date  # first day of the source, under which rows without a usable time are filed

    @property
    def with_unusable(self) -> bool:
        """True if the days include the one of rows without a usable time."""
        return self.first <= self.since <= self.last

    def condition(self, field: str, literal: Callable[[date], str]) -> str:
        """Return the SQL condition on these days, and one more on each side; `literal` writes the beginning of a day."""
        condition = f"{field} >= {literal(self.first - ONE_DAY)} AND {field} < {literal(self.last + 2 * ONE_DAY)}"
        if self.with_unusable:
            unusable = (
                f"{field} IS NULL OR {field} < {literal(self.start + ONE_DAY)} OR {field} >= {literal(self.today)}"
            )
            condition = f"({condition}) OR {unusable}"
        return condition


class Request(NamedTuple):
    """An address and its query."""

    url: str
    query: Mapping[str, str | int]


class Page(NamedTuple):
    """An answer with its rows, its request, and the request of the first page."""

    first: Request
    request: Request
    answer: "Answer"
    rows: list[Row]


class ApiReader(AlertSource, Generic[Settings]):
    """A live source that is asked for a range of days over HTTP, page by page.

    Rows without a usable time, from before the city's start or from the future are filed under the source's first day, and
    asked for with it. A kind of source overrides `requests`, and other hooks where its publisher differs.
    """

    is_live: ClassVar[bool] = True

    def __init__(self, site: Site, source: Settings, sent: SentToken | None, secret: str | None) -> None:
        self.site = site
        self.source = source
        self.address = source.address
        self.since = max(site.start, source.since or site.start)
        self._sent = sent
        self._secret = secret

    @abstractmethod
    def requests(self, api: "JsonApi", asked: AskedDays) -> Iterator[Request]:
        """Yield requests for all rows that may be filed under the days asked for."""

    def rows_of(self, content: Any) -> object:
        """Return the list of rows in an answer; anything else is refused with `no_rows`."""
        return content

    no_rows = "the answer is not a list of rows; check the address in the city's file"

    def next_request(self, api: "JsonApi", page: Page) -> Request | None:
        """Return the request of the page after this one; None after the last."""
        return None

    def error_in(self, content: Any) -> object:
        """Return the publisher's own error in an answer, as text or as JSON with texts; empty without one."""
        return finder("error")(content)

    def counted(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Yield the rows that count, out of those of all pages."""
        return rows

    @property
    def keys(self) -> list[str]:
        """Top-level keys of a row with the source's columns, each once."""
        paths = self.source.columns.named().values()
        return list(dict.fromkeys(path.split(".")[0].split("[")[0].strip('"') for path in paths))

    @property
    def epoch_literal(self) -> Callable[[date], str] | None:
        """Writer of the beginning of a day (UTC) as a number; None for times that are no numbers."""
        unit = EPOCH_UNITS.get(self.source.time_format or "")
        return None if unit is None else lambda day: str((day - date(1970, 1, 1)).days * 86_400 * unit)

    def read(self, first: date, last: date) -> "pa.Table":
        """Read rows, see `AlertSource.read`; raise SourceError if the API refuses, or contradicts the city's file."""
        from shotspotter_assets.alerts.sources.api.http import JsonApi

        today = local_time.today(self.site.zone)
        asked = AskedDays(max(first, self.since), last, self.site.start, today, self.since)
        if asked.first > last:
            return self._raw([], asked)
        with JsonApi(self.site.name, self.source.patience, self._sent, self._secret, self.error_in) as api:
            answers = [list(self._rows(api, request)) for request in self.requests(api, asked)]
            return self._raw(list(self.counted(_merged(answers))), asked)

    def _rows(self, api: "JsonApi", first: Request) -> Iterator[Row]:
        """Yield the rows of all pages from the first request on; raise SourceError for an answer that is no new page."""
        request: Request | None = first
        asked: list[Request] = []
        rows_before: list[Row] = []
        while request is not None:
            answer = api.get(request.url, request.query)
            rows = self.rows_of(answer.content)
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise api.error(request.url, request.query, self.no_rows)
            if request in asked or (rows and rows == rows_before):
                repeated = "this page was there before; correct source.paging in the city's file"
                raise api.error(request.url, request.query, repeated)
            yield from rows
            asked.append(request)
            rows_before = rows
            request = self.next_request(api, Page(first, request, answer, rows))

    def _raw(self, rows: Sequence[Row], asked: AskedDays) -> "pa.Table":
        """Return the asked days as `RAW_SCHEMA`; `received_row` is the rank within the day, whatever the paging."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        from shotspotter_assets.alerts.sources.raw_rows import table_of_rows, to_raw
        from shotspotter_assets.alerts.sources.schema import PUBLISHED, RAW_SCHEMA

        if not rows:
            return RAW_SCHEMA.empty_table()
        table = table_of_rows(rows, dict.fromkeys(self.source.columns.named().values()))
        plausible = asked.start, asked.today
        raw = to_raw(table, self.site, self.source, self.address, local_time.now(), asked.since, plausible)
        text_at, rank_at = (RAW_SCHEMA.get_field_index(name) for name in ("as_received", "received_row"))
        if self.source.side_columns is None:
            # The whole row where a part of it could not be read, not only the columns that the city's file names.
            unread = raw["as_received"].to_pylist()
            texts = [text and json.dumps(row, sort_keys=True) for text, row in zip(unread, rows, strict=True)]
            raw = raw.set_column(text_at, RAW_SCHEMA.field(text_at), pa.array(texts, pa.string()))
        raw = raw.filter((pc.field("date") >= asked.first) & (pc.field("date") <= asked.last))
        raw = raw.sort_by([(name, "ascending") for name in PUBLISHED])
        dates = raw["date"].to_numpy().astype("datetime64[D]")
        ranks = np.arange(len(dates)) - np.searchsorted(dates, dates)
        return raw.set_column(rank_at, RAW_SCHEMA.field(rank_at), pa.array(ranks, pa.int64()))


def _merged(answers: Sequence[list[Row]]) -> Iterator[Row]:
    # The ends of requests may overlap: equal rows count as often as in the answer that has most of them.
    most = Counter[str]()
    for answer in answers:
        numbers = Counter[str]()
        for row in answer:
            content = json.dumps(row, sort_keys=True) if len(answers) > 1 else ""
            numbers[content] += 1
            if numbers[content] > most[content]:
                yield row
        most |= numbers


def both(condition: str | None, other: str) -> str:
    """Join two SQL conditions, either of which may be missing."""
    return " AND ".join(f"({part})" for part in (condition, other) if part)
