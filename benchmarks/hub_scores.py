"""Scores of an exported hub (docs/how-to/export_to_a_hub.md): `python benchmarks/hub_scores.py FOLDER`.

Reads model output and target data with hubverse's `hubdata`, and prints the weighted interval score (of `scoringrules`) and the
coverage of each model by location. `year` is the reference: the quantiles of the numbers of the 365 days to the issue date.

`--issue CITY FIRST LAST` issues forecasts first, as the alerts that come with this package are of the past: for each issue
date the clock stands at 23:59 of it. Alerts to the end of the issue date are known then, one day more than a live city has.
"""

import argparse
import os
from datetime import date, datetime, time, timedelta
from pathlib import Path
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import hubdata
import numpy as np
import pandas as pd
import scoringrules
from benchmark_cities import print_head, print_row
from hubdata.create_target_data_schema import TargetType

from shotspotter_assets.calendar.local_time import days_between, now

YEAR = timedelta(days=365)
UNIT = ["reference_date", "target_end_date", "target", "location"]


def issue(name: str, first: date, last: date) -> None:
    """Train and forecast with the settings of the environment, on each issue date under a clock of its own."""
    import dagster as dg

    from shotspotter_assets.definitions import build_definitions
    from shotspotter_assets.demo import SMALL_NETWORKS
    from shotspotter_assets.settings import Settings

    settings = Settings.from_environment(os.environ)
    keys = {dg.AssetKey([name, asset]) for asset in ("live_models", "risk_forecasts")}
    job = build_definitions(settings).resolve_implicit_global_asset_job_def().get_subset(asset_selection=keys)
    ops = {f"{name}__live_models": {"config": {"settings": SMALL_NETWORKS}}}
    config = {"ops": ops, "loggers": {"console": {"config": {"log_level": "ERROR"}}}}
    for day in days_between(first, last):
        at = datetime.combine(day, time(23, 59), settings.cities[name].zone).astimezone(now().tzinfo)
        clock = mock.patch("shotspotter_assets.calendar.local_time.now", return_value=at)
        with clock, dg.DagsterInstance.ephemeral() as instance:
            job.execute_in_process(run_config=config, instance=instance, partition_key=str(day))


def year_quantiles(output: pd.DataFrame, series: pd.DataFrame) -> pd.DataFrame:
    """Quantiles, at the levels of the output, of the observed numbers of the year to each issue date."""
    levels = np.unique(output["output_type_id"])
    rows = []
    for key, _ in output.groupby(UNIT):
        issued, _, target, location = key
        is_same = (series["target"] == target) & (series["location"] == location)
        days = pd.to_datetime(series["target_end_date"])
        is_before = (days <= pd.Timestamp(issued)) & (days > pd.Timestamp(issued) - YEAR)
        values = np.quantile(series["observation"][is_same & is_before], levels, method="inverted_cdf")
        rows.append(
            pd.DataFrame({"output_type_id": levels, "value": values}).assign(**dict(zip(UNIT, key, strict=True)))
        )
    return pd.concat(rows).assign(model_id="year")


def scores(rows: pd.DataFrame, oracle: pd.DataFrame) -> pd.DataFrame:
    """WIS, absolute error of the median, and coverage of one model, by unit with an observed number."""
    wide = rows.pivot_table("value", UNIT, "output_type_id").reset_index().merge(oracle)
    levels = np.array([level for level in wide.columns if isinstance(level, float)])
    observed = wide["oracle_value"].to_numpy(float)
    # The mean over symmetric levels, twice, is the score; `weighted_interval_score` of 0.10 takes the median for its distance.
    losses = scoringrules.quantile_score(observed[:, None], wide[list(levels)].to_numpy(float), levels)
    wide["wis"] = 2 * losses.mean(axis=1)
    for share in (0.5, 0.8, 0.95):
        ends = round((1 - share) / 2, 3)
        wide[f"within_{share:.0%}"] = (wide[ends] <= observed) & (observed <= wide[round(1 - ends, 3)])
    return wide


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="an exported hub")
    parser.add_argument("--issue", nargs=3, metavar=("CITY", "FIRST", "LAST"), help="issue forecasts first")
    chosen = parser.parse_args()
    if not (chosen.folder or chosen.issue):
        parser.error("name the folder of a hub, or --issue")
    if chosen.issue:
        issue(chosen.issue[0], *map(date.fromisoformat, chosen.issue[1:]))
    if chosen.folder is None:
        return
    hub = chosen.folder.absolute()
    if not (hub / "hub-config").is_dir():
        raise SystemExit(
            f"{chosen.folder}: this is no hub. Write one with shotspotter export-hub CITY {chosen.folder}."
        )
    output = hubdata.connect_hub(hub).to_table().to_pandas()
    series, oracle = (
        hubdata.connect_target_data(hub, kind).to_table().to_pandas()
        for kind in (TargetType.TIME_SERIES, TargetType.ORACLE_OUTPUT)
    )
    models = pd.concat([output, year_quantiles(output, series)])
    scored = pd.concat(
        [scores(rows, oracle).assign(model_id=model) for model, rows in models.groupby("model_id")], ignore_index=True
    )
    days = scored["target_end_date"]
    print(f"{days.nunique()} days, {days.min()} to {days.max()}\n")
    print_head("location", "model", "WIS", "WIS / that of year", "within 50%", "within 80%", "within 95%")
    for location, rows in scored.groupby("location", sort=False):
        means = rows.groupby("model_id")[["wis", "within_50%", "within_80%", "within_95%"]].mean()
        for model, row in means.iterrows():
            share = row["wis"] / means["wis"]["year"]
            within = [f"{value:.0%}" for value in row[1:]]
            print_row(location, model, f"{row['wis']:.2f}", f"{share:.2f}", *within)


if __name__ == "__main__":
    main()
