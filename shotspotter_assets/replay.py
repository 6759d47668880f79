"""Plays past days of a city as if each were today, and says how the forecasts did: `make replay`."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import get_args

import dagster as dg

from shotspotter_assets.cities.registry import CityFileError, UnknownCityError, find_city
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.defs.replay import Retraining, replay, where_to_look
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.serving.replay import ReplayError, parse_day
from shotspotter_assets.settings import Settings


def main(arguments: Sequence[str]) -> None:
    """Replay the days into the instance of DAGSTER_HOME and print the account, or why it cannot be done and exit with 1."""
    asked = _parser().parse_args(arguments)
    try:
        days = parse_day(asked.first), parse_day(asked.last)
        settings = Settings.from_environment(os.environ)
        with dg.DagsterInstance.get() as instance:
            account = replay(
                build_definitions(settings).resolve_implicit_global_asset_job_def(),
                instance,
                find_city(settings.cities, asked.city),
                days,
                store=StoreResource(root=settings.store_root),
                cities=settings.cities,
                retraining=asked.retraining,
                overwrite_issued=asked.overwrite_issued,
                log=lambda words: print(words, flush=True),
            )
    except (ReplayError, CityFileError, UnknownCityError) as error:
        sys.exit(str(error))
    for line in [*account.lines(), where_to_look(account, settings.ui_url)]:
        print(line)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make replay", description=__doc__)
    parser.add_argument("--city", required=True, help="its name, as its file is called (CITY=...)")
    parser.add_argument("--from", dest="first", required=True, help="first issue date, YYYY-MM-DD (FROM=...)")
    parser.add_argument("--to", dest="last", required=True, help="last issue date (TO=...)")
    parser.add_argument(
        "--retraining", choices=get_args(Retraining), default="weekly", help="when models are trained anew (weekly)"
    )
    parser.add_argument(
        "--overwrite-issued", action="store_true", help="also replace forecasts that were issued on the day itself"
    )
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
