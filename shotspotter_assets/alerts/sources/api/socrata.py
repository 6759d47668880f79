"""A data set of a Socrata portal as a source, through SODA 2.1 (https://dev.socrata.com/docs/queries/)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from shotspotter_assets.alerts.sources.alert_source import Access, AlertSource
from shotspotter_assets.alerts.sources.api.api_source import ApiReader, AskedDays, Page, Request, both
from shotspotter_assets.alerts.sources.json_rows import PLAIN_KEY, Row
from shotspotter_assets.alerts.sources.tabular_settings import EPOCH_UNITS, ApiSettings, SentToken, Variable
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.strict_model import SafeUrl

if TYPE_CHECKING:
    from shotspotter_assets.alerts.sources.api.http import JsonApi

ROW_ID: Final = ":id"  # system field with a unique id, by which pages are ordered
MIN_FULL_PAGE: Final = 1000  # minimum of a page with a successor, whatever the portal's own limit of rows


class SocrataSettings(ApiSettings):
    """A data set of a Socrata portal."""

    kind: Literal["socrata"]
    domain: SafeUrl
    dataset: str = Field(pattern=r"^[a-z0-9]{4}-[a-z0-9]{4}$")
    where: str | None = None  # further SoQL condition
    page_size: int = Field(default=50_000, ge=1, le=50_000)
    token_variable: Variable | None = None  # environment variable of the app token; the portal is slower without

    @property
    def address(self) -> str:
        """Address of the data set."""
        return f"{self.domain.rstrip('/')}/resource/{self.dataset}"

    def open(self, city: City, access: Access) -> AlertSource:
        """Return the reader of the data set."""
        return SocrataDataset(city, self, access.environ.get(self.token_variable or ""))


class SocrataDataset(ApiReader[SocrataSettings]):
    """A data set that is asked for a range of days in one query."""

    no_rows = "the answer is not a list of rows; check domain and dataset in the city's file"

    def __init__(self, city: City, source: SocrataSettings, token: str | None) -> None:
        sent = SentToken(variable=source.token_variable or "TOKEN", name="X-App-Token", prefix="") if token else None
        super().__init__(city, source, sent, token)

    def requests(self, api: "JsonApi", asked: AskedDays) -> Iterator[Request]:
        """Yield one request for all days."""
        columns = ",".join(dict.fromkeys((ROW_ID, *self.keys)))
        query: dict[str, str | int] = {"$select": columns, "$order": ROW_ID, "$offset": 0}
        query["$limit"] = self.source.page_size
        if condition := both(self.source.where, self._days(asked)):
            query["$where"] = condition
        yield Request(f"{self.address}.json", query)

    def next_request(self, api: "JsonApi", page: Page) -> Request | None:
        """Return the request of the rows after these; None after a page that is not full."""
        if len(page.rows) < min(self.source.page_size, MIN_FULL_PAGE):
            return None
        offset = int(page.request.query["$offset"]) + len(page.rows)
        return Request(page.request.url, {**page.request.query, "$offset": offset})

    def counted(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Yield the rows without the portal's own field."""
        return ({key: value for key, value in row.items() if key != ROW_ID} for row in rows)

    def _days(self, asked: AskedDays) -> str:
        """Return the condition on the days; empty for times as other text, which cannot be compared."""
        time = self.source.columns.time
        time_format = self.source.time_format
        if not PLAIN_KEY.fullmatch(time) or not (time_format is None or time_format in EPOCH_UNITS):
            return ""
        return asked.condition(time, self.epoch_literal or (lambda day: f"'{day.isoformat()}T00:00:00'"))
