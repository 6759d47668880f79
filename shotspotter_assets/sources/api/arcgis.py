"""A layer of an ArcGIS FeatureServer or MapServer as a source.

Protocol: https://developers.arcgis.com/rest/services-reference/enterprise/query-feature-service-layer/
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import NamedTuple

import pyarrow as pa

from shotspotter_assets.calendar.local_time import today
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import EPOCH_UNITS, ArcgisSource
from shotspotter_assets.sources.api.http import JsonApi, sent_token
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

GEOMETRY = "geometry"

NUMBERS = ("esriFieldTypeDouble", "esriFieldTypeSingle", "esriFieldTypeInteger", "esriFieldTypeBigInteger")


class Layer(NamedTuple):
    """A layer's description: field types by name, the field that numbers its rows, and how it is paged."""

    fields: dict[str, str]
    row_id: str
    max_rows: int
    has_pages: bool


class ArcgisLayer:
    """A layer that is asked for all days of a range in one query, page by page.

    Rows are filed under the local day of their time. Rows without a usable time, from before the city's start or
    from the future are filed under the city's first day.
    """

    counts_by_day = False

    def __init__(self, city: City, source: ArcgisSource, token: str | None = None) -> None:
        """`token` is the content of the variable that the city's file names."""
        self.city = city
        self.source = source
        self.address = source.layer.rstrip("/")
        self._token = token

    def read(self, first: date, last: date) -> pa.Table:
        """See `AlertSource.read`.

        Raises:
            SourceError: the server cannot be asked, refuses the query, or changes the rows with every attempt.
        """
        asked = AskedDays.from_city(self.city, first, last)
        with self._api() as api:
            layer = self._layer(api)
            where = self._condition(layer, asked)
            for _ in range(ATTEMPTS):
                rows = self._rows(api, layer, where)
                if rows is not None:
                    return to_raw_rows(rows, self.city, self.source, self.address, asked)
        raise SourceError(
            f"City {self.city.name}: {self.address}: the publisher changed rows between the pages, {ATTEMPTS} times in a "
            f"row; try again later, or ask for fewer days than {first} to {last}."
        )

    def changed_days(self, first: date, last: date) -> dict[date, str]:
        """See `ChangingSource.changed_days`: the rows are read, as a layer does not tell its changes by day."""
        return versions_of_days(self.read(first, last))

    def newest_day(self) -> date | None:
        """See `DatedSource.newest_day`; None of a layer without pages, or whose times cannot be compared."""
        with self._api() as api:
            layer = self._layer(api)
            literal = self._literal(layer)
            if literal is None or not layer.has_pages:
                return None
            time = self.source.columns.time
            begun = f"{time} < {literal(today(self.city.zone) + ONE_DAY)}"
            where = f"({self.source.where}) AND {begun}" if self.source.where else begun
            newest: dict[str, int | str] = {"resultOffset": 0, "resultRecordCount": 1, "orderByFields": f"{time} DESC"}
            features, _ = self._features(api, layer, where, newest)
        if not features:
            return None
        row = features[0]["attributes"] | {GEOMETRY: features[0].get(GEOMETRY)}
        return day_of(row, self.city, self.source, self.address)

    def _api(self) -> JsonApi:
        token = sent_token(self.city.name, self.address, self.source.token, self._token)
        return JsonApi(self.city, self.source.patience, token)

    def _layer(self, api: JsonApi) -> Layer:
        description = api.get(self.address, {"f": "json"}).content
        fields = description.get("fields") if isinstance(description, dict) else None
        if not fields:
            raise api.error(
                self.address,
                None,
                "this is no layer with fields; source.layer must end in FeatureServer/N or MapServer/N",
            )
        types = {field["name"]: field["type"] for field in fields}
        numbering = (name for name, kind in types.items() if kind == "esriFieldTypeOID")
        row_id = description.get("objectIdField") or next(numbering, None)
        if row_id is None:
            raise api.error(self.address, None, "the layer has no field that numbers its rows, so it cannot be paged")
        missing = [name for name in top_level_keys(self.source) if name not in types and name != GEOMETRY]
        if missing:
            raise api.error(
                self.address,
                None,
                f"the layer has no field {', '.join(missing)} (it has: {', '.join(types)}); correct source.columns in the "
                "city's file",
            )
        max_rows = description.get("maxRecordCount") or 1000
        capabilities = description.get("advancedQueryCapabilities") or {}
        has_pages = bool(capabilities.get("supportsPagination", description.get("supportsPagination", False)))
        return Layer(types, row_id, min(max_rows, self.source.page_size or max_rows), has_pages)

    def _rows(self, api: JsonApi, layer: Layer, where: str) -> list[Row] | None:
        """All rows; None where those of the pages are not those that the layer has."""
        pages = list(self._pages(api, layer, where) if layer.has_pages else self._ranges(api, layer, where))
        features = [feature for page in pages for feature in page]
        if len(pages) > 1:
            ids = {feature["attributes"][layer.row_id] for feature in features}
            count = api.get(self._query, {"where": where, "returnCountOnly": "true", "f": "json"}).content["count"]
            if not len(ids) == len(features) == count:
                return None
        return [feature["attributes"] | {GEOMETRY: feature.get(GEOMETRY)} for feature in features]

    def _pages(self, api: JsonApi, layer: Layer, where: str) -> Iterator[list[Row]]:
        offset = 0
        while True:
            page = {"resultOffset": offset, "resultRecordCount": layer.max_rows}
            features, has_more = self._features(api, layer, where, page)
            yield features
            offset += len(features)
            # Servers before 10.3.1 do not tell that there is more after a page.
            if not features or (len(features) < layer.max_rows and not has_more):
                return

    def _ranges(self, api: JsonApi, layer: Layer, where: str) -> Iterator[list[Row]]:
        """The pages of a layer without paging: all row numbers, which have no limit, and then ranges of these."""
        query = {"where": where, "returnIdsOnly": "true", "f": "json"}
        ids = sorted(api.get(self._query, query).content.get("objectIds") or ())
        for start in range(0, len(ids), layer.max_rows):
            part = ids[start : start + layer.max_rows]
            within = f"({where}) AND {layer.row_id} >= {part[0]} AND {layer.row_id} <= {part[-1]}"
            yield self._features(api, layer, within, {})[0]

    def _features(
        self, api: JsonApi, layer: Layer, where: str, page: Mapping[str, int | str]
    ) -> tuple[list[Row], bool]:
        keys = top_level_keys(self.source)
        query = {
            "where": where,
            "outFields": ",".join(dict.fromkeys([layer.row_id, *(key for key in keys if key != GEOMETRY)])),
            "returnGeometry": "true" if GEOMETRY in keys else "false",
            "outSR": 4326,
            "orderByFields": layer.row_id,
            "f": "json",
        } | dict(page)
        if not layer.has_pages:
            del query["orderByFields"]
        content = api.get(self._query, query).content
        features = content.get("features") if isinstance(content, dict) else None
        if features is None:
            raise api.error(self._query, query, "the answer has no features; check source.layer in the city's file")
        return features, bool(content.get("exceededTransferLimit"))

    @property
    def _query(self) -> str:
        return f"{self.address}/query"

    def _condition(self, layer: Layer, asked: AskedDays) -> str:
        """The rows wanted, in the layer's SQL; all rows of the layer where times are text."""
        conditions = [self.source.where] if self.source.where else []
        literal = self._literal(layer)
        if literal is not None:
            conditions.append(asked.condition(self.source.columns.time, literal))
        return " AND ".join(f"({condition})" for condition in conditions) or "1=1"

    def _literal(self, layer: Layer) -> Callable[[date], str] | None:
        kind = layer.fields.get(self.source.columns.time)
        if kind == "esriFieldTypeDateOnly":
            return lambda day: f"DATE '{day.isoformat()}'"
        if kind == "esriFieldTypeDate":
            keyword = {"timestamp": "TIMESTAMP ", "date": "DATE ", "text": ""}[self.source.time_literal]
            return lambda day: f"{keyword}'{day.isoformat()} 00:00:00'"
        if kind in NUMBERS:
            unit = EPOCH_UNITS.get(self.source.time_format or "")
            return None if unit is None else lambda day: str(_seconds(day) * unit)
        return None


def _seconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
