"""Open data portals as sources: layers of ArcGIS servers, and data sets of Socrata.

Protocols: https://developers.arcgis.com/rest/services-reference/enterprise/query-feature-service-layer/ and SODA 2.1
(https://dev.socrata.com/docs/queries/).
"""

from collections.abc import Callable, Iterator
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field

from shotspotter_assets.alerts.sources.alert_source import Access, AlertSource
from shotspotter_assets.alerts.sources.api.api_source import ApiReader, AskedDays, Page, Request, both
from shotspotter_assets.alerts.sources.tabular_settings import (
    EPOCH_UNITS,
    PLAIN_KEY,
    ApiSettings,
    Row,
    SentToken,
    Variable,
)
from shotspotter_assets.cities.source_settings import Site
from shotspotter_assets.cities.strict_model import SafeUrl

if TYPE_CHECKING:
    from shotspotter_assets.alerts.sources.api.http import JsonApi


GEOMETRY: Final = "geometry"
NUMBERS: Final = ("Double", "Single", "Integer", "BigInteger")


class ArcgisSettings(ApiSettings):
    """A layer of an ArcGIS FeatureServer or MapServer; columns are attributes, or `geometry.x` and `geometry.y`."""

    kind: Literal["arcgis"]
    layer: SafeUrl
    where: str | None = None
    token: SentToken | None = None  # log-in of the layer; sent as `Authorization: Bearer`, or as the named parameter
    time_format: str | None = "epoch_ms"  # ArcGIS's form of date fields
    time_literal: Literal["timestamp", "date", "text"] = "timestamp"
    """Literal of times in conditions: `date` for some file geodatabases, `text` for SQL Server without standard queries."""

    @property
    def address(self) -> str:
        """Address of the layer."""
        return self.layer.rstrip("/")

    def open(self, site: Site, access: Access) -> AlertSource:
        """Return the reader of the layer."""
        return ArcgisLayer(site, self, access.environ.get(self.token.variable if self.token else ""))


class ArcgisLayer(ApiReader[ArcgisSettings]):
    """A layer that is asked for days in one query; pages follow by row number, because rows may be deleted meanwhile."""

    no_rows = "the answer has no features; check source.layer in the city's file"

    def __init__(self, site: Site, source: ArcgisSettings, token: str | None = None) -> None:
        super().__init__(site, source, source.token, token)

    def requests(self, api: "JsonApi", asked: AskedDays) -> Iterator[Request]:
        """Yield one request for all days; the layer's description is asked for first."""
        fields, row_id, page_size = self._layer(api)
        literal = self._literal(fields.get(self.source.columns.time))
        days = asked.condition(self.source.columns.time, literal) if literal is not None else ""
        query = {
            "where": both(self.source.where, days) or "1=1",
            "outFields": ",".join(dict.fromkeys([row_id, *(key for key in self.keys if key != GEOMETRY)])),
            "returnGeometry": "true" if GEOMETRY in self.keys else "false",
            "outSR": 4326,
            "f": "json",
            "resultRecordCount": page_size,
            "orderByFields": row_id,
        }
        yield Request(f"{self.address}/query", query)

    def rows_of(self, content: Any) -> object:
        """Return the attributes of each feature, with its geometry."""
        features = content.get("features") if isinstance(content, dict) else None
        return features and [feature["attributes"] | {GEOMETRY: feature.get(GEOMETRY)} for feature in features]

    def next_request(self, api: "JsonApi", page: Page) -> Request | None:
        """Return the request of the rows after the last one; None if the answer was not cut."""
        first = page.first.query
        # Servers before 10.3.1 have no mark of a cut page.
        is_cut = page.answer.content.get("exceededTransferLimit") or len(page.rows) >= int(first["resultRecordCount"])
        if not page.rows or not is_cut:
            return None
        after = f"{first['orderByFields']} > {page.rows[-1][str(first['orderByFields'])]}"
        return Request(page.first.url, {**first, "where": both(str(first["where"]), after)})

    def _layer(self, api: "JsonApi") -> tuple[dict[str, str], str, int]:
        """Return the layer's field types by name, the field that numbers rows, and the rows of a page."""
        description = api.get(self.address, {"f": "json"}).content
        fields = description.get("fields") if isinstance(description, dict) else None
        if not fields:
            problem = "this is no layer with fields; source.layer must end in FeatureServer/N or MapServer/N"
            raise api.error(self.address, None, problem)
        types = {field["name"]: field["type"].removeprefix("esriFieldType") for field in fields}
        row_id = description.get("objectIdField") or next((name for name, kind in types.items() if kind == "OID"), None)
        capabilities = description | (description.get("advancedQueryCapabilities") or {})
        if row_id is None or not capabilities.get("supportsPagination", False):
            problem = "the layer cannot be read page by page (supportsPagination); export it to files and read these"
            raise api.error(self.address, None, problem)
        missing = ", ".join(name for name in self.keys if name not in types and name != GEOMETRY)
        if missing:
            problem = f"the layer has no field {missing} (it has: {', '.join(types)}); correct source.columns in the city's file"
            raise api.error(self.address, None, problem)
        return types, row_id, description.get("maxRecordCount") or 1000

    def _literal(self, kind: str | None) -> Callable[[date], str] | None:
        """Return the writer of the beginning of a day in the layer's SQL; None for times as text."""
        if kind == "DateOnly":
            return lambda day: f"DATE '{day.isoformat()}'"
        if kind == "Date":
            keyword = {"timestamp": "TIMESTAMP ", "date": "DATE ", "text": ""}[self.source.time_literal]
            return lambda day: f"{keyword}'{day.isoformat()} 00:00:00'"
        return self.epoch_literal if kind in NUMBERS else None


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

    def open(self, site: Site, access: Access) -> AlertSource:
        """Return the reader of the data set."""
        return SocrataDataset(site, self, access.environ.get(self.token_variable or ""))


class SocrataDataset(ApiReader[SocrataSettings]):
    """A data set that is asked for a range of days in one query."""

    no_rows = "the answer is not a list of rows; check domain and dataset in the city's file"

    def __init__(self, site: Site, source: SocrataSettings, token: str | None) -> None:
        sent = SentToken(variable=source.token_variable or "TOKEN", name="X-App-Token", prefix="") if token else None
        super().__init__(site, source, sent, token)

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
