"""Servers on loopback that speak the protocols of Socrata SODA 2.1, ArcGIS REST and alerts APIs, with their limits.

Conditions are evaluated by DuckDB. Without an order, rows come in another order each time, as the platforms allow.
"""

import asyncio
import json
import re
import socket
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shotspotter_assets_tests.waiting import wait_until

if TYPE_CHECKING:
    import duckdb

SPHERE_RADIUS = 6_378_137.0
QUICK = {"retries": 2}
"""Patience of a source that is tested."""


@dataclass
class Server:
    url: str = ""
    faults: deque[str] = field(default_factory=deque)  # each spoils one request, in their order; "ok" lets one through
    requests: list[Request] = field(default_factory=list)
    before: Any = None


@contextmanager
def serving(routes: Sequence[Route], server: Server | None = None, port: int = 0) -> Iterator[Server]:
    """Answer requests on a free port of the loopback; `server` holds the faults to come and the requests that came."""
    server = server or Server()
    bound = socket.create_server(("127.0.0.1", port))
    server.url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    app = _Spoiling(Starlette(routes=list(routes)), server)
    running = _QuickServer(uvicorn.Config(app, log_config=None, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    wait_until(lambda: running.started, every=0.005)
    try:
        yield server
    finally:
        running.force_exit = True
        running.is_over.set()
        thread.join()
        bound.close()


class _QuickServer(uvicorn.Server):
    """Ends at once; the stock server looks ten times a second whether it should, and waits for its connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_over = threading.Event()

    async def main_loop(self) -> None:
        await asyncio.to_thread(self.is_over.wait)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(0)


class _Spoiling:
    def __init__(self, app: Any, server: Server) -> None:
        self.app = app
        self.server = server

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Record the request, and spoil its answer by the next fault in the queue."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        self.server.requests.append(request)
        if self.server.before is not None:
            self.server.before(self.server)
        fault = self.server.faults.popleft() if self.server.faults else "ok"
        if fault == "truncated":
            await self._truncated(scope, receive, send)
        elif fault.startswith("429 "):
            await Response("slow down", 429, {"Retry-After": fault.split()[1]})(scope, receive, send)
        elif fault in ANSWERS:
            await ANSWERS[fault]()(scope, receive, send)
        else:
            if fault.startswith("slow"):
                await asyncio.sleep(float(fault.split()[1]))
            await self.app(scope, receive, send)

    async def _truncated(self, scope: Any, receive: Any, send: Any) -> None:
        """The right head with half of the body, then the connection is gone."""
        head: list[Any] = []

        async def keep(message: Any) -> None:
            head.append(message)

        await self.app(scope, receive, keep)
        body = b"".join(message.get("body", b"") for message in head)
        await send(head[0])
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": False})


ANSWERS: dict[str, Any] = {
    "429": lambda: Response("slow down", 429, {"Retry-After": "1"}),
    "500": lambda: JSONResponse({"code": "internal", "error": True, "message": "Internal error"}, 500),
    "503": lambda: Response("<html>maintenance</html>", 503, media_type="text/html"),
    "202": lambda: JSONResponse({"message": "still working"}, 202),
    "404": lambda: JSONResponse({"code": "dataset.missing", "error": True, "message": "Not found"}, 404),
    "moved": lambda: Response(status_code=301, headers={"Location": "https://elsewhere.example/x?token=s3cret"}),
    "html": lambda: Response("<html><title>Log in</title></html>", media_type="text/html"),
    "not json": lambda: Response('[{"date": "2018-', media_type="application/json"),
    "error 200": lambda: JSONResponse({"error": {"code": 400, "message": "Unable to perform", "details": ["bad"]}}),
    "busy 200": lambda: JSONResponse({"error": {"code": 503, "message": "Service busy", "details": []}}),
    "an object": lambda: JSONResponse({"hello": "world"}),
}


class Socrata:
    """One data set, as SODA 2.1 hands it over: omitted keys for nulls, numbers as strings, floating timestamps."""

    MAX_ROWS = 50_000

    def __init__(self, rows: pa.Table, token: str | None = None) -> None:
        """`rows` have their own columns, and `_id` for the system field `:id`."""
        self.database = database_of(rows, "alerts")
        self.token = token
        self.database.execute("SET TimeZone = 'UTC'")
        self.routes = [Route("/resource/test-data.json", self.answer)]

    async def answer(self, request: Request) -> Response:
        """Run the question as SQL; rows have no order unless it asks for one, as on the portal."""
        import duckdb

        token = request.headers.get("X-App-Token")
        if self.token is not None and token is not None and token != self.token:
            return _soda_error("permission_denied", "Invalid app_token specified", 403)
        asked = dict(request.query_params)
        limit = int(asked.pop("$limit", 1000))
        offset = int(asked.pop("$offset", 0))
        if limit > self.MAX_ROWS:
            return _soda_error("limit", "Limit too high")
        query = f"SELECT {_soql(asked.pop('$select', '*'))} FROM alerts"
        for clause, words in (("$where", "WHERE"), ("$order", "ORDER BY")):
            if clause in asked:
                query += f" {words} {_soql(asked.pop(clause))}"
            elif clause == "$order":
                query += " ORDER BY random()"
        if asked:
            return _soda_error("unknown", f"Unrecognized arguments {asked}")
        try:
            found = self.database.cursor().sql(f"{query} LIMIT {limit} OFFSET {offset}").to_arrow_table()
        except duckdb.Error as error:
            return _soda_error("query.soql", str(error))
        return JSONResponse(soda_rows(found))


def database_of(rows: pa.Table, name: str) -> "duckdb.DuckDBPyConnection":
    import duckdb

    database = duckdb.connect()
    database.register("received", rows)
    database.execute(f"CREATE TABLE {name} AS SELECT * FROM received")
    return database


def _soda_error(code: str, message: str, status: int = 400) -> Response:
    return JSONResponse({"code": code, "error": True, "message": message}, status)


def _soql(text: str) -> str:
    return re.sub(r":id\b", "_id", text)


def soda_rows(table: pa.Table) -> list[dict[str, Any]]:
    columns = {":id" if name == "_id" else name: _soda_values(table[name]) for name in table.column_names}
    return [
        {name: value for name, value in zip(columns, row, strict=True) if value is not None}
        for row in zip(*columns.values(), strict=True)
    ]


def _soda_values(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        zone = "Z" if column.type.tz else ""
        times = column.to_pylist()
        return [at and f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}{zone}" for at in times]
    return [value if value is None or isinstance(value, dict) else str(value) for value in column.to_pylist()]


ESRI_TYPES = {"TIMESTAMP": "esriFieldTypeDate", "BIGINT": "esriFieldTypeInteger", "DOUBLE": "esriFieldTypeDouble"}


class Arcgis:
    """One layer of points, as MapServer and FeatureServer hand it over: epoch milliseconds, errors as HTTP 200."""

    def __init__(self, rows: pa.Table, most_rows: int = 1000, has_pages: bool = True, says_more: bool = True) -> None:
        """`rows` have OBJECTID (int64), LONGITUDE and LATITUDE; timestamps without a zone are UTC."""
        self.database = database_of(rows, "features")
        self.most_rows = most_rows
        self.has_pages = has_pages
        self.says_more = says_more
        columns = self.database.execute("SELECT column_name, column_type FROM (DESCRIBE features)").fetchall()
        self.fields = {name: ESRI_TYPES.get(kind, "esriFieldTypeString") for name, kind in columns}
        self.fields["OBJECTID"] = "esriFieldTypeOID"
        layer = "/arcgis/rest/services/Alerts/MapServer/29"
        self.routes = [Route(layer, self.describe), Route(f"{layer}/query", self.query)]

    def add(self, rows: pa.Table) -> None:
        self.database.register("added", rows)
        self.database.execute("INSERT INTO features SELECT * FROM added")

    async def describe(self, request: Request) -> Response:
        if request.query_params.get("f") != "json":
            return Response("<html>ArcGIS REST Services Directory</html>", media_type="text/html")
        about = {"id": 29, "name": "Gun Shots", "geometryType": "esriGeometryPoint", "maxRecordCount": self.most_rows}
        about["advancedQueryCapabilities"] = {"supportsPagination": self.has_pages, "useStandardizedQueries": True}
        about["fields"] = [{"name": name, "type": kind, "alias": name} for name, kind in self.fields.items()]
        return _arcgis_json(about)

    async def query(self, request: Request) -> Response:
        import duckdb

        asked = request.query_params
        assert asked["f"] == "json"
        where = asked["where"]
        # Standardised queries refuse to compare dates with plain text.
        if re.search(r"(?<!TIMESTAMP )(?<!DATE )'\d{4}-\d\d-\d\d", where):
            return _arcgis_error("Unable to complete operation.", "'where' parameter is invalid")
        try:
            return self._features(asked, where)
        except duckdb.Error as error:
            return _arcgis_error("Unable to complete operation.", str(error))

    def _features(self, asked: Any, where: str) -> Response:
        """Return a page of rows; points are in metres of Web Mercator unless degrees are asked for."""
        names = asked["outFields"].split(",")
        if unknown := [name for name in names if name not in self.fields]:
            return _arcgis_error("Invalid or missing input parameters.", *unknown)
        limit = min(int(asked.get("resultRecordCount", self.most_rows)), self.most_rows)
        order = asked.get("orderByFields", "random()")
        dates = {name for name, kind in self.fields.items() if kind == "esriFieldTypeDate"}
        selected = ", ".join(f"epoch_ms({name})" if name in dates else name for name in names)
        query = f"SELECT {selected}, LONGITUDE, LATITUDE FROM features WHERE {where} ORDER BY {order} LIMIT {limit + 1}"
        rows = self.database.cursor().execute(query).fetchall()
        features: list[dict[str, Any]] = [{"attributes": dict(zip(names, row, strict=False))} for row in rows[:limit]]
        if asked["returnGeometry"] == "true":
            for feature, row in zip(features, rows, strict=False):
                feature["geometry"] = {"x": row[-2], "y": row[-1]}
                if asked.get("outSR") != "4326":
                    feature["geometry"] = {"x": row[-2] * SPHERE_RADIUS, "y": 0.0}
        more = {"exceededTransferLimit": True} if len(rows) > limit and self.says_more else {}
        return _arcgis_json({"features": features, **({"fields": []} if features else {}), **more})


def _arcgis_json(content: Any) -> Response:
    return Response(json.dumps(content), media_type="text/plain")


def _arcgis_error(message: str, *details: str) -> Response:
    return _arcgis_json({"error": {"code": 400, "message": message, "details": list(details)}})


class Ckan:
    """A portal with one table, as CKAN's `datastore_search` hands it over: pages by offset, errors in several forms."""

    def __init__(self, rows: pa.Table) -> None:
        self.records = json.loads(rows.to_pandas().to_json(orient="records", date_format="iso", date_unit="s"))
        self.routes = [Route("/api/3/action/datastore_search", self.search)]

    async def search(self, request: Request) -> Response:
        asked = request.query_params
        if "sort" in asked:
            error = {"__type": "Validation Error", "sort": [f'field "{asked["sort"]}" not in table']}
            return JSONResponse({"success": False, "error": error}, 409)
        if asked["resource_id"] != "alerts":
            error = {"__type": "Not Found Error", "message": "Not found: resource"}
            return JSONResponse({"success": False, "error": error}, 404)
        offset = int(asked["offset"])
        limit = min(int(asked["limit"]), 12)
        result = {"records": self.records[offset : offset + limit], "total": len(self.records)}
        return JSONResponse({"success": True, "result": result})


class Alerts:
    """An alerts API with a token: alerts between two instants, paged in four styles."""

    MAX_ROWS = 3

    def __init__(self, alerts: list[dict[str, Any]], token: str) -> None:
        """Alerts have their time at `detected.at` (ISO 8601 in UTC)."""
        self.alerts = alerts
        self.token = token
        self.longest_days: int | None = None
        self.routes = [Route("/{style}/alerts", self.list_alerts)]

    async def list_alerts(self, request: Request) -> Response:
        asked = request.query_params
        begin, end = (datetime.fromisoformat(asked[name]) for name in ("from", "to"))
        if self.longest_days is not None and (end - begin).days > self.longest_days:
            return JSONResponse({"message": f"at most {self.longest_days} days"}, 400)
        rows = [row for row in self.alerts if begin <= datetime.fromisoformat(row["detected"]["at"]) < end]
        return self._page(request, rows)

    def _page(self, request: Request, rows: list[dict[str, Any]]) -> Response:
        """Return the page that the style of paging in the path asks for, with its pointer to the next one."""
        asked = request.query_params
        if self.token not in (request.headers.get("Authorization", "").removeprefix("Bearer "), asked.get("key")):
            return JSONResponse({"message": "bad credentials"}, 401)
        style = request.path_params["style"]
        position = {
            "page": lambda: (int(asked.get("page", 1)) - 1) * self.MAX_ROWS,
            "offset": lambda: int(asked["offset"]),
            "cursor": lambda: int(asked.get("cursor", "c0").lstrip("c")),
            "link_header": lambda: int(asked.get("after", 0)),
        }[style]()
        page = rows[position : position + self.MAX_ROWS]
        after = position + len(page)
        more = after < len(rows)
        content: dict[str, Any] = {"data": {"alerts": page}}
        headers = {}
        if style == "cursor" and more:
            content["meta"] = {"next": f"c{after}"}
        if style == "link_header" and more:
            headers["Link"] = f'<{request.url.include_query_params(after=after)}>; rel="next"'
        return JSONResponse(content, headers=headers)


class Recorded:
    """A recorded exchange: each cursor gets its answers in their order, and from then on the last one."""

    def __init__(self, exchanges: Sequence[dict[str, Any]]) -> None:
        self.answers: dict[str, deque[dict[str, Any]]] = {}
        for exchange in exchanges:
            self.answers.setdefault(exchange["cursor"], deque()).append(exchange)
        self.routes = [Route("/v2/alerts", self.list_alerts)]

    async def list_alerts(self, request: Request) -> Response:
        if not request.headers.get("Authorization", "").startswith("Bearer "):
            return JSONResponse({"error": {"message": "no token"}}, 401)
        recorded = self.answers[request.query_params.get("cursor", "")]
        answer = recorded.popleft() if len(recorded) > 1 else recorded[0]
        body = json.dumps(answer["body"]).encode()
        # The head announces the whole body, so that a client sees that half of it is missing.
        headers = answer["headers"] | {"Content-Length": str(len(body))}
        sent = body[: len(body) // 2] if answer.get("fault") == "half a page" else body
        return Response(sent, answer["status"], headers, "application/json")
