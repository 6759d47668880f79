"""Secrets of many machines, while every server fails: none is printed, recorded, stored or answered by the web server."""

import contextlib
import gzip
import uuid
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import psycopg2
import pyarrow.parquet as pq
import pytest
import requests
from psycopg2 import sql
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotspotter_assets.storage.redaction import Redaction
from shotspotter_assets_tests.alerts.sources.api.api_server import serving
from shotspotter_assets_tests.automation.servers import PATH, smtp_server, webhook_server
from shotspotter_assets_tests.deploy.machines import RUNS, Machines, machines_on
from shotspotter_assets_tests.postgres_server import PostgresServer
from shotspotter_assets_tests.rabbitmq_server import RabbitmqServer
from shotspotter_assets_tests.s3_server import S3Server

BOX = """
time_zone: America/New_York
start: 2024-03-01
end: 2024-03-05
box: {west: -77.06, south: 38.88, east: -77.0, north: 38.93}
grid: {rows: 4, columns: 4}
"""
TOWN = f"name: town{BOX}source: {{kind: simulated, seed: 1, alerts_per_day: 12}}\n"
FEED = """name: feed{box}automation: history
source:
  kind: alerts_api
  url: "{url}/alerts?from={{first}}&to={{last}}"
  token: {{variable: FEED_TOKEN}}
  paging: {{style: page}}
  rows: alerts
  columns: {{time: at, longitude: longitude, latitude: latitude, gunshot_type: kind, source_id: id}}
  patience: {{retries: 1}}
"""
DAY = "2024-03-02"
ALL_OF_INSTANCE = """{ instance { info runLauncher { name } runQueuingSupported daemonHealth { allDaemonStatuses {
  daemonType healthy lastHeartbeatErrors { message stack } } } } workspaceOrError { __typename } }"""
TICKS = """{ sensorsOrError(repositorySelector: {repositoryLocationName: "shotspotter_assets", repositoryName: "__repository__"}) {
  ... on Sensors { results { name sensorState { ticks(limit: 20) { status skipReason error { message stack } } } } } } }"""


async def refuse(request: Request) -> Response:
    """An answer of a server that repeats the request's address and headers."""
    return Response(f"not with {request.headers['authorization']} at {request.url}", 403)


@pytest.mark.slow
@pytest.mark.timeout(4500)
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")  # of the mail server
def test_no_secret_is_shown_whatever_fails(
    tmp_path: Path, postgres_server: PostgresServer, rabbitmq_server: RabbitmqServer, s3_server: S3Server,
    s3_store_root: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    names = ("database", "other database", "other broker", "other S3", "mail", "token", "webhook")
    secrets = {name: f"{uuid.uuid4().hex}/%&+" for name in names}  # what has to be encoded in addresses
    secrets |= {"broker": rabbitmq_server.password, "S3": s3_server.secret_key}
    database = postgres_server.new_database_with(secrets["database"])
    with webhook_server() as webhook, smtp_server(login=True) as mailbox, serving([Route("/alerts", refuse)]) as feed:
        webhook.answers = [500] * 1000
        webhook.says = f"no service at {secrets['webhook']}"
        files = {"town": TOWN, "feed": FEED.format(box=BOX, url=feed.url)}
        further = {
            "FEED_TOKEN": secrets["token"], "SHOTSPOTTER_POLL_SECONDS": "5",
            "SHOTSPOTTER_NOTIFY_URLS": webhook.url.replace(PATH, f"/services/{quote(secrets['webhook'], safe='')}")
            + f" mailto://risk:{quote(secrets['mail'], safe='')}@127.0.0.1:{mailbox.port}?from=a@b.org&to=c@d.org",
        }  # fmt: skip
        servers = database, rabbitmq_server, s3_server
        with machines_on(tmp_path, files, *servers, s3_store_root, monkeypatch, **further) as machines:
            answers = list(fail(machines, secrets, postgres_server, s3_server))
            said = dict(printed(machines)) | dict(answered(machines)) | {"answers meanwhile": "\n".join(answers)}
    said |= dict(recorded(database)) | dict(stored(s3_server))
    refuse_failures_that_were_not_provoked("\n".join(said.values()))

    all_of_them = Redaction(secrets.values())
    nothing = Redaction([])
    for name, secret in secrets.items():
        assert all_of_them.clean(f"a {quote(secret)} b") != f"a {quote(secret)} b", f"{name} would not be found"
    places = {place: text for place, text in said.items() if all_of_them.clean(text) != nothing.clean(text)}
    for name, secret in secrets.items():
        shown = [place for place, text in places.items() if Redaction([secret]).clean(text) != nothing.clean(text)]
        assert shown == [], name


def fail(machines: Machines, secrets: dict[str, str], postgres: PostgresServer, s3: S3Server) -> Iterator[str]:
    """Have each server refuse somebody or be away; what the web server answers meanwhile."""
    machines.start_all("worker_1")
    with machines.instance() as instance:

        def ended(run_id: str) -> bool:
            run = instance.get_run_by_id(run_id)
            return run is not None and run.is_finished

        def launch(city: str) -> str:
            return machines.launch(city, ["raw_alerts"], {"dagster/partition": DAY})

        source_refuses = launch("feed")
        machines.wait_for(lambda: ended(source_refuses))
        machines.kill("worker_1")
        machines.start("worker_2", AWS_SECRET_ACCESS_KEY=secrets["other S3"])
        s3_refuses = launch("town")
        machines.wait_for(lambda: ended(s3_refuses))
        machines.wait_for(lambda: "not sent by JSON 1" in machines.post(TICKS).text)

        wrong = quote(secrets["other broker"], safe="")
        true = machines.environment["CELERY_BROKER_URL"]
        broker_refuses = {"CELERY_BROKER_URL": true.replace(secrets["broker"], wrong)}
        machines.start("worker_3", **broker_refuses)
        machines.kill("daemon")
        machines.start("daemon", **broker_refuses)
        waits = launch("town")
        machines.wait_for(lambda: "ACCESS_REFUSED" in machines.log("daemon").read_text() or ended(waits))

        right, wrong = (quote(secrets[name], safe="") for name in ("database", "other database"))
        for name, service, changed in (
            ("refused_web", "web", (right, wrong)),
            ("lost_daemon", "daemon", (f":{postgres.port}/", ":9/")), ("elsewhere", "web", ("127.0.0.1", "nowhere.invalid")),
        ):  # fmt: skip
            urls = ("DAGSTER_DATABASE_URL", "CELERY_RESULTS_URL")
            machines.start(name, service, **{url: machines.environment[url].replace(*changed) for url in urls})
        for name in ("refused_web", "lost_daemon", "elsewhere"):
            machines.running[name].wait(900)

    s3.kill()
    postgres.control("stop", "--mode", "immediate")
    for _ in range(3):
        for query in (RUNS, ALL_OF_INSTANCE, TICKS):
            with contextlib.suppress(requests.RequestException):
                yield machines.post(query).text
    postgres.control("start", "--wait")
    machines.wait_for(lambda: machines.ask(TICKS))
    machines.kill("daemon")  # which may have ended with its database
    machines.start("daemon", **broker_refuses)
    machines.wait_for(lambda: "Could not connect to the endpoint" in machines.log("daemon").read_text())
    s3.start()


def printed(machines: Machines) -> Iterator[tuple[str, str]]:
    for log in machines.folder.glob("*/log"):
        yield f"log of {log.parent.name}", log.read_text(errors="replace")


def answered(machines: Machines) -> Iterator[tuple[str, str]]:
    for query in (RUNS, ALL_OF_INSTANCE, TICKS):
        yield query, machines.wait_for(lambda query=query: machines.ask(query) and machines.post(query).text)
    for run in machines.ask(RUNS)["runsOrError"]["results"]:
        url = f"{machines.url}/download_debug/{run['runId']}"
        # The first answer after a restart of the database may be an error: connections of the pool are closed.
        debug = machines.wait_for(lambda url=url: (found := requests.get(url, timeout=300)).ok and found.content)
        yield f"debug file of {run['runId']}", gzip.decompress(debug).decode()
    for path in ("/", "/server_info", "/config"):
        yield path, requests.get(f"{machines.url}{path}", timeout=300).text


def recorded(database: str) -> Iterator[tuple[str, str]]:
    with contextlib.closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))
            yield f"table {table}", "\n".join(_text(value) for row in cursor for value in row)


def _text(value: object) -> str:
    if not isinstance(value, memoryview):
        return str(value)
    content = value.tobytes()
    with contextlib.suppress(zlib.error):
        content = zlib.decompress(content)
    return content.decode(errors="replace")


def stored(server: S3Server) -> Iterator[tuple[str, str]]:
    client = server.client()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=server.bucket):
        for item in page.get("Contents", []):
            content = client.get_object(Bucket=server.bucket, Key=item["Key"])["Body"].read()
            is_table = item["Key"].endswith(".parquet")
            text = str(pq.read_table(BytesIO(content)).to_pylist()) if is_table else content.decode(errors="replace")
            yield item["Key"], text


def refuse_failures_that_were_not_provoked(said: str) -> None:
    for failure in (
        "403", "Cannot use the store", "ACCESS_REFUSED", "Connection refused",
        "password authentication failed for user", "could not translate host name", "not sent by JSON 1: Failed to send",
        "error=500", "not sent by E-Mail 2: Connection error",
    ):  # fmt: skip
        assert failure in said, failure
    assert dg.DagsterRunStatus.FAILURE.value in said
