"""A layer of an ArcGIS FeatureServer or MapServer as a source.

Protocol: https://developers.arcgis.com/rest/services-reference/enterprise/query-feature-service-layer/
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Final, NamedTuple

import pyarrow as pa

from shotspotter_assets.calendar.local_time import today
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import ArcgisSource
from shotspotter_assets.sources.alert_source import AlertSource
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

GEOMETRY: Final = "geometry"

NUMBERS: Final = (
    "esriFieldTypeDouble", "esriFieldTypeSingle", "esriFieldTypeInteger", "esriFieldTypeBigInteger",
)  # fmt: skip


class Layer(NamedTuple):
    """A layer's description: field types by name, the field that numbers its rows, and the rows of a page."""

    fields: dict[str, str]
    row_id: str
    page_size: int


class ArcgisLayer(AlertSource):
    """A layer that is asked for all days of a range in one query, page by page.

    Rows are filed under the local day of their time. Rows without a usable time, from before the city's start or
    from the future are filed under the city's first day.
    """

    is_live = True

    def __init__(self, city: City, source: ArcgisSource, token: str | None = None) -> None:
        """`token` is the content of the variable that the city's file names."""
        self.city = city
        self.source = source
        self.address = source.layer.rstrip("/")
        self._token = token

    def read(self, first: date, last: date) -> pa.Table:
        """See `AlertSource.read`.

        Raises:
            SourceError: the server cannot be asked, or refuses the query.
        """
        asked = AskedDays.from_city(self.city, first, last)
        with self._api() as api:
            layer = self._layer(api)
            literal = self._literal(layer)
            days = asked.condition(self.source.columns.time, literal) if literal is not None else ""
            rows = self._pages(api, layer, both(self.source.where, days) or "1=1")
        return to_raw_rows(rows, self.city, self.source, self.address, asked)

    def newest_day(self) -> date | None:
        """See `AlertSource.newest_day`; None for a layer whose times cannot be compared."""
        with self._api() as api:
            layer = self._layer(api)
            literal = self._literal(layer)
            if literal is None:
                return None
            time = self.source.columns.time
            begun = f"{time} < {literal(today(self.city.zone) + ONE_DAY)}"
            newest: dict[str, int | str] = {"resultRecordCount": 1, "orderByFields": f"{time} DESC"}
            rows, _ = self._rows(api, layer, both(self.source.where, begun), newest)
        return day_of(rows[0], self.city, self.source, self.address) if rows else None

    def _api(self) -> JsonApi:
        return JsonApi(self.city, self.source.patience, self.source.token, self._token)

    def _layer(self, api: JsonApi) -> Layer:
        description = api.get(self.address, {"f": "json"}).content
        fields = description.get("fields") if isinstance(description, dict) else None
        if not fields:
            problem = "this is no layer with fields; source.layer must end in FeatureServer/N or MapServer/N"
            raise api.error(self.address, None, problem)
        types = {field["name"]: field["type"] for field in fields}
        numbering = (name for name, kind in types.items() if kind == "esriFieldTypeOID")
        row_id = description.get("objectIdField") or next(numbering, None)
        capabilities = description | (description.get("advancedQueryCapabilities") or {})
        if row_id is None or not capabilities.get("supportsPagination", False):
            problem = "the layer cannot be read page by page (supportsPagination); export it to files and read these"
            raise api.error(self.address, None, problem)
        missing = ", ".join(name for name in top_level_keys(self.source) if name not in types and name != GEOMETRY)
        if missing:
            problem = f"the layer has no field {missing} (it has: {', '.join(types)}); correct source.columns in the city's file"
            raise api.error(self.address, None, problem)
        max_rows = description.get("maxRecordCount") or 1000
        return Layer(types, row_id, min(max_rows, self.source.page_size or max_rows))

    def _pages(self, api: JsonApi, layer: Layer, where: str) -> list[Row]:
        """Return the rows of all pages, each after the last row number of the page before.

        Unlike offsets, row numbers leave no gap where the publisher deletes rows in the meantime.
        """
        rows: list[Row] = []
        page, has_more = where, True
        while has_more:
            found, is_cut = self._rows(
                api, layer, page, {"resultRecordCount": layer.page_size, "orderByFields": layer.row_id}
            )
            rows += found
            # Servers before 10.3.1 do not say that there is more after a page.
            has_more = bool(found) and (is_cut or len(found) >= layer.page_size)
            page = both(where, f"{layer.row_id} > {rows[-1][layer.row_id]}") if has_more else ""
        return rows

    def _rows(self, api: JsonApi, layer: Layer, where: str, page: Mapping[str, int | str]) -> tuple[list[Row], bool]:
        """Return (rows, whether the server has more) of one page."""
        keys = top_level_keys(self.source)
        query = {
            "where": where,
            "outFields": ",".join(dict.fromkeys([layer.row_id, *(key for key in keys if key != GEOMETRY)])),
            "returnGeometry": "true" if GEOMETRY in keys else "false",
            "outSR": 4326,
            "f": "json",
            **page,
        }
        content = api.get(self._query, query).content
        features = content.get("features") if isinstance(content, dict) else None
        if features is None:
            raise api.error(self._query, query, "the answer has no features; check source.layer in the city's file")
        rows = [feature["attributes"] | {GEOMETRY: feature.get(GEOMETRY)} for feature in features]
        return rows, bool(content.get("exceededTransferLimit"))

    @property
    def _query(self) -> str:
        return f"{self.address}/query"

    def _literal(self, layer: Layer) -> Callable[[date], str] | None:
        """Return a function that writes the beginning of a day in the layer's SQL; None where times are text."""
        kind = layer.fields.get(self.source.columns.time)
        if kind == "esriFieldTypeDateOnly":
            return lambda day: f"DATE '{day.isoformat()}'"
        if kind == "esriFieldTypeDate":
            keyword = {"timestamp": "TIMESTAMP ", "date": "DATE ", "text": ""}[self.source.time_literal]
            return lambda day: f"{keyword}'{day.isoformat()} 00:00:00'"
        return epoch_literal(self.source.time_format) if kind in NUMBERS else None
