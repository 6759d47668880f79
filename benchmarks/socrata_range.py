"""Five years of 200,000 alerts from a Socrata-like server in one range: `python benchmarks/socrata_range.py`.

Prints requests, bytes and time beside one streaming download of the same rows, which no way of paging can beat. The
server runs in a process of its own on this machine, so that the times are those of reading and not of a network.
"""

import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the server is the tests'

ROWS = 200_000
FIRST, LAST = date(2018, 1, 1), date(2022, 12, 31)
RUNS = 1


def main() -> None:
    """Measure each way and print it beside the download."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    server.start()
    theirs.close()
    url = ours.recv()
    try:
        lines = [
            ("one streaming download, bytes only", *measure(ours, lambda: download(url))),
            ("the same, parsed as JSON", *measure(ours, lambda: len(json.loads(download(url))))),
            ("a range, pages of 50,000 (the default)", *measure(ours, lambda: read(url, 50_000))),
            ("a range, pages of 1,000 (SODA's default)", *measure(ours, lambda: read(url, 1_000))),
            ("versions of all days", *measure(ours, lambda: versions(url))),
        ]
    finally:
        ours.send("stop")
        server.join()
    bound = lines[0]
    print(f"{ROWS:,} alerts of {FIRST} to {LAST}, one run each\n")
    print("| what | requests | MB | seconds | time, in downloads | bytes, in downloads |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, requests, sent, seconds in lines:
        ratios = f"{seconds / bound[3]:.2f} | {sent / bound[2]:.2f}"
        print(f"| {name} | {requests} | {sent / 1e6:.1f} | {seconds:.2f} | {ratios} |")


def measure(server: Connection, work: Callable[[], Any]) -> tuple[int, int, float]:
    """(requests, bytes, seconds) of the fastest run."""
    runs = []
    for _ in range(RUNS):
        server.send("count")
        requests, sent = server.recv()
        start = time.perf_counter()
        work()
        seconds = time.perf_counter() - start
        server.send("count")
        more_requests, more_sent = server.recv()
        runs.append((seconds, more_requests - requests, more_sent - sent))
    seconds, requests, sent = min(runs)
    return requests, sent, seconds


def serve(pipe: Connection) -> None:
    """A server that says where it is, and how many requests it had and bytes it sent when asked."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    from shotspotter_assets_tests.sources.api.api_server import Server, Socrata, serving, soda_rows

    random = np.random.default_rng(0)
    seconds = (pd.Timestamp(LAST) - pd.Timestamp(FIRST)).total_seconds()
    kinds = np.array(["SINGLE GUNSHOT", "MULTIPLE GUNSHOTS", "GUNSHOT OR FIRECRACKER"])
    frame = pd.DataFrame(
        {
            "date": pd.Timestamp(FIRST) + pd.to_timedelta(random.integers(0, int(seconds), ROWS), unit="s"),
            "latitude": 41.64 + 0.3 * random.random(ROWS),
            "longitude": -87.81 + 0.29 * random.random(ROWS),
            "incident_type_description": kinds[random.integers(0, 3, ROWS)],
            "rounds": random.integers(1, 20, ROWS),
            "unique_id": [f"SST-{number}" for number in range(ROWS)],
            "_id": [f"row-{number:07}" for number in random.permutation(ROWS)],
            "_updated": pd.Timestamp("2024-09-24T10:00:00.123Z"),
        }
    )
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    socrata = Socrata(rows, shuffled=False)
    used = rows.drop_columns(["_id", "_updated"])
    body = json.dumps(soda_rows(used), separators=(",", ":")).encode()

    async def everything(request: Any) -> StreamingResponse:
        parts = (body[at : at + (1 << 16)] for at in range(0, len(body), 1 << 16))
        return StreamingResponse(parts, media_type="application/json")

    with serving([*socrata.routes, Route("/everything.json", everything)], Server()) as server:
        pipe.send(server.url)
        while pipe.recv() == "count":
            pipe.send((len(server.requests), server.bytes))


def download(url: str) -> bytes:
    """All bytes of the columns that are used, in one answer."""
    import requests

    with requests.get(f"{url}/everything.json", stream=True, timeout=60) as response:
        return b"".join(response.iter_content(1 << 16))


def read(url: str, page_size: int) -> None:
    """The whole range through the source."""
    assert dataset(url, page_size).read(FIRST, LAST).num_rows == ROWS


def versions(url: str) -> None:
    """What a sensor asks."""
    assert len(dataset(url, 50_000).changed_days(FIRST, LAST)) > 1800


def dataset(url: str, page_size: int) -> Any:
    """Chicago's source, asking the server here."""
    from shotspotter_assets.cities.city import City
    from shotspotter_assets.cities.registry import PACKAGE_CITIES, load_city
    from shotspotter_assets.cities.source_settings import SocrataSource
    from shotspotter_assets.sources.api.socrata import SocrataDataset

    chicago = load_city(PACKAGE_CITIES / "chicago.yaml")
    there = {"domain": url, "dataset": "test-data", "page_size": page_size}
    city = City.model_validate(chicago.model_dump() | {"source": chicago.source.model_dump() | there})
    assert isinstance(city.source, SocrataSource)
    return SocrataDataset(city, city.source, token=None)


if __name__ == "__main__":
    main()
