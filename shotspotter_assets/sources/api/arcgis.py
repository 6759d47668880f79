"""A layer of an ArcGIS FeatureServer or MapServer as a source.

Protocol: https://developers.arcgis.com/rest/services-reference/enterprise/query-feature-service-layer/
"""

from collections.abc import Callable, Iterator
from datetime import date
from typing import Final, NamedTuple

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import ArcgisSource
from shotspotter_assets.sources.api.api_source import ApiReader, AskedDays, both, epoch_literal, top_level_keys
from shotspotter_assets.sources.api.http import JsonApi
from shotspotter_assets.sources.raw_rows import Row

GEOMETRY: Final = "geometry"
NUMBERS: Final = ("Double", "Single", "Integer", "BigInteger")


class Layer(NamedTuple):
    """Field types by name, the field that numbers rows, and the rows of a page."""

    fields: dict[str, str]
    row_id: str
    page_size: int


class ArcgisLayer(ApiReader[ArcgisSource]):
    """A layer that is asked for a range of days in one query, page by page."""

    def __init__(self, city: City, source: ArcgisSource, token: str | None = None) -> None:
        super().__init__(city, source, source.layer.rstrip("/"), source.token, token)

    def _rows(self, api: JsonApi, asked: AskedDays) -> Iterator[Row]:
        """Yield the rows of all pages by row number, which leaves no gap if the publisher deletes rows meanwhile."""
        layer, keys, url = self._layer(api), top_level_keys(self.source), f"{self.address}/query"
        literal = self._literal(layer)
        days = asked.condition(self.source.columns.time, literal) if literal is not None else ""
        where = both(self.source.where, days) or "1=1"
        query: dict[str, str | int] = {
            "where": where,
            "outFields": ",".join(dict.fromkeys([layer.row_id, *(key for key in keys if key != GEOMETRY)])),
            "returnGeometry": "true" if GEOMETRY in keys else "false",
            "outSR": 4326,
            "f": "json",
            "resultRecordCount": layer.page_size,
            "orderByFields": layer.row_id,
        }
        has_more = True
        while has_more:
            content = api.get(url, query).content
            features = content.get("features") if isinstance(content, dict) else None
            if features is None:
                raise api.error(url, query, "the answer has no features; check source.layer in the city's file")
            yield from (feature["attributes"] | {GEOMETRY: feature.get(GEOMETRY)} for feature in features)
            # Servers before 10.3.1 have no mark of a cut page.
            has_more = bool(features) and (content.get("exceededTransferLimit") or len(features) >= layer.page_size)
            if has_more:
                query["where"] = both(where, f"{layer.row_id} > {features[-1]['attributes'][layer.row_id]}")

    def _layer(self, api: JsonApi) -> Layer:
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
        missing = ", ".join(name for name in top_level_keys(self.source) if name not in types and name != GEOMETRY)
        if missing:
            problem = f"the layer has no field {missing} (it has: {', '.join(types)}); correct source.columns in the city's file"
            raise api.error(self.address, None, problem)
        max_rows = description.get("maxRecordCount") or 1000
        return Layer(types, row_id, min(max_rows, self.source.page_size or max_rows))

    def _literal(self, layer: Layer) -> Callable[[date], str] | None:
        """Return a function that writes the beginning of a day in the layer's SQL; None for times as text."""
        kind = layer.fields.get(self.source.columns.time)
        if kind == "DateOnly":
            return lambda day: f"DATE '{day.isoformat()}'"
        if kind == "Date":
            keyword = {"timestamp": "TIMESTAMP ", "date": "DATE ", "text": ""}[self.source.time_literal]
            return lambda day: f"{keyword}'{day.isoformat()} 00:00:00'"
        return epoch_literal(self.source.time_format) if kind in NUMBERS else None
