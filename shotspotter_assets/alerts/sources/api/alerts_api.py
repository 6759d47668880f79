"""A vendor's or agency's JSON API of alerts as a source, described by the city's file."""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, Self
from urllib.parse import quote

from pydantic import Field, model_validator

from shotspotter_assets.alerts.sources.alert_source import Access, AlertSource, SourceError
from shotspotter_assets.alerts.sources.api.api_source import ApiReader, AskedDays, Page, Request
from shotspotter_assets.alerts.sources.tabular_settings import (
    EPOCH_UNITS,
    ApiSettings,
    JmesPath,
    Row,
    SentToken,
    finder,
)
from shotspotter_assets.cities.local_time import ONE_DAY, day_start
from shotspotter_assets.cities.source_settings import Site
from shotspotter_assets.cities.strict_model import SafeUrl, StrictModel

if TYPE_CHECKING:
    from shotspotter_assets.alerts.sources.api.http import JsonApi

CKAN: Final[dict[str, Any]] = {
    "rows": "result.records",
    "paging": {"style": "offset", "size_parameter": "limit", "size": 10_000},
}
"""Defaults of the other keys for answers of CKAN's `datastore_search`."""


class Paging(StrictModel):
    """Pages of an alerts API."""

    style: Literal["page", "offset", "cursor", "link_header"]
    parameter: str | None = None  # query parameter of the page, offset or cursor; null for the style's own name
    first_page: int = Field(default=1, ge=0)
    size_parameter: str | None = None
    size: int = Field(default=500, ge=1)
    next: JmesPath | None = None
    """Path of the next cursor or page address. With pages and offsets: path of a value that is empty or false on the
    last page; null if an empty page comes after the last."""

    @model_validator(mode="after")
    def _finds_the_next_cursor(self) -> Self:
        if self.style == "cursor" and self.next is None:
            raise ValueError("style cursor needs next: the JMESPath of the next cursor in an answer")
        return self

    @property
    def name(self) -> str:
        """Query parameter of the page, offset or cursor."""
        return self.parameter or self.style


class AlertsApiSettings(ApiSettings):
    """A JSON API of alerts, such as a ShotSpotter gateway."""

    kind: Literal["alerts_api"]
    preset: Literal["ckan"] | None = None  # platform whose answers set defaults of other keys
    url: SafeUrl  # address; optional `{first}` and `{last}` are the instants (last excluded) asked for
    token: SentToken | None = None
    paging: Paging
    rows: JmesPath = "@"  # path of an answer's list of alerts
    error: JmesPath = "error"  # path of the publisher's own error in an answer
    instant_format: str = "%Y-%m-%dT%H:%M:%SZ"  # format in addresses, UTC: `strftime`, `epoch_s` or `epoch_ms`
    longest_days: int | None = Field(default=None, ge=1)  # maximum days of one request; null for any number
    version: JmesPath | None = None  # path of an alert's version, a number or time; null: the last answer counts
    withdrawn: JmesPath | None = None  # path that is true for a withdrawn alert, such as `status == 'dismissed'`

    @model_validator(mode="before")
    @classmethod
    def _starts_with_its_preset(cls, content: Any) -> Any:
        return CKAN | content if isinstance(content, dict) and content.get("preset") == "ckan" else content

    @model_validator(mode="after")
    def _fills_in_known_instants(self) -> Self:
        if self.version and self.columns.source_id is None:
            raise ValueError("alerts with a version need columns.source_id")
        unknown = set(re.findall(r"{\w*}", self.url)) - {"{first}", "{last}"}
        if unknown:
            raise ValueError(f"url has {', '.join(sorted(unknown))} (allowed: {{first}}, {{last}})")
        return self

    @property
    def address(self) -> str:
        """Address without its query."""
        return re.sub(r"\?.*", "", self.url)

    def open(self, site: Site, access: Access) -> AlertSource:
        """Return the reader of the API."""
        return AlertsApi(site, self, access.environ.get(self.token.variable if self.token else ""))


class AlertsApi(ApiReader[AlertsApiSettings]):
    """An API asked for alerts between two instants; the latest version of a `source_id` counts, if not withdrawn."""

    def __init__(self, site: Site, source: AlertsApiSettings, token: str | None) -> None:
        super().__init__(site, source, source.token, token)
        self.no_rows = f"there is no list of alerts at {source.rows!r}; correct source.rows in the city's file"

    def requests(self, api: "JsonApi", asked: AskedDays) -> Iterator[Request]:
        """Yield requests for the days, a day more on each side, each with as many days as allowed."""
        paging = self.source.paging
        query: dict[str, str | int] = {paging.size_parameter: paging.size} if paging.size_parameter else {}
        if paging.style in ("page", "offset"):
            query[paging.name] = paging.first_page if paging.style == "page" else 0
        # Only asking for all days finds rows without a usable time.
        begin = (asked.since if asked.with_unusable else asked.first) - ONE_DAY
        end = (asked.today if asked.with_unusable else asked.last) + 2 * ONE_DAY
        step = timedelta(days=self.source.longest_days or (end - begin).days)
        while begin < end:
            stop = min(begin + step, end)
            url = self.source.url.replace("{first}", self._written(begin)).replace("{last}", self._written(stop))
            yield Request(url, query)
            begin = stop

    def rows_of(self, content: Any) -> object:
        """Return the list of alerts at the path `rows`."""
        return finder(self.source.rows)(content)

    def error_in(self, content: Any) -> object:
        """Return the error at the path `error`."""
        return finder(self.source.error)(content)

    def next_request(self, api: "JsonApi", page: Page) -> Request | None:
        """Return the request of the next page, by the style of paging; None after the last one."""
        paging = self.source.paging
        url = page.first.url
        following = None if paging.next is None else finder(paging.next)(page.answer.content)
        if paging.style in ("page", "offset"):
            position = int(page.request.query[paging.name]) + (1 if paging.style == "page" else len(page.rows))
            # A page may hold fewer rows than asked for although more follow: only an empty one is surely the last.
            has_more = page.rows if paging.next is None else following
            return Request(url, {**page.first.query, paging.name: position}) if has_more else None
        target = page.answer.next_url if paging.style == "link_header" else following
        if not target:
            return None
        if paging.style == "link_header" or re.match("https?://|/", str(target)):
            return Request(api.same_host(str(target), url), {})
        return Request(url, {**page.first.query, paging.name: target})

    def counted(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Yield the latest version of each alert, without withdrawn ones."""
        is_withdrawn = finder(self.source.withdrawn) if self.source.withdrawn else lambda _: False
        return (row for row in self._latest(list(rows)) if not is_withdrawn(row))

    def _written(self, day: date) -> str:
        instant = day_start(day, self.site.zone)
        unit = EPOCH_UNITS.get(self.source.instant_format)
        written = instant.astimezone(UTC).strftime(self.source.instant_format)
        return quote(written if unit is None else str(int(instant.timestamp()) * unit), safe="")

    def _latest(self, rows: list[Row]) -> list[Row]:
        import pandas as pd

        source = self.source
        name = source.columns.source_id
        if not rows or name is None or not (source.version or source.withdrawn):
            return rows
        alerts = pd.DataFrame({"id": list(map(finder(name), rows))})
        if source.version is not None:
            alerts["version"] = self._versions(list(map(finder(source.version), rows)))
            alerts = alerts.sort_values("version", kind="stable", na_position="first")
        latest = alerts[alerts["id"].isna() | ~alerts["id"].duplicated(keep="last")]
        return [rows[position] for position in sorted(latest.index)]

    def _versions(self, values: list[Any]) -> Any:
        import pandas as pd

        texts = pd.Series(values, dtype=object)
        with suppress(ValueError, TypeError):
            return pd.to_numeric(texts)
        with suppress(ValueError, TypeError):
            return pd.to_datetime(texts, format="ISO8601", utc=True)
        problem = f"the versions, such as {values[0]!r}, are neither numbers nor ISO 8601 times"
        remedy = "correct source.version in the city's file"
        raise SourceError(f"City {self.site.name}: {self.address}: {problem}; {remedy}.")
