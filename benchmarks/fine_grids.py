"""What finer grids cost, and what fits on a sample lose: `python benchmarks/fine_grids.py --data FOLDER --cache FOLDER`.

`costs` (default) runs the chain's own assets on Washington DC at several sizes, and with `--large` on a simulated city of
200 x 200 cells, half of them in the published coverage, each asset in a process of its own; prints its CPU seconds and its largest
memory. `sample` fits the stack and its members on all cell-days and on a sample (Washington DC, first quarter of 2017, days before
the test years), and prints log losses and the gain of the sample in nats per positive with a 90% interval of a weekly block
bootstrap.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import yaml
from benchmark_cities import BENCHMARKS, city_of, folds, quarters

from shotspotter_assets.cities.registry import load_cities
from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.models.next_day import features
from shotspotter_assets.models.next_day.settings import StackSettings
from shotspotter_assets.models.next_day.shared_regression import package_start
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.models.registry import forecaster
from shotspotter_assets.partitions import key_of, range_tags
from shotspotter_assets.settings import Settings

SIZES = (36, 72, 100, 200)
"""Rows, and columns."""
LARGE = "large_city"
LARGE_SIZE, LARGE_ALERTS = 200, 120
LAST, FOLD = date(2018, 12, 31), date(2018, 10, 1)
PATROL = {"shifts": [{"name": "evening", "start": 16, "end": 24, "units": 20}], "radius_m": 300}
SAMPLE_CUTOFFS = quarters(2017, 1, 1)


@dataclass(frozen=True)
class Step:
    """A run of the chain."""

    assets: tuple[str, ...]
    partition: str
    """Of the days, the last day, the fold or the city."""
    config: dict[str, Any] | None = None


STEPS = {
    "days": Step(("raw_alerts", "cleaned_alerts", "grid_tensors"), "days"),
    "live_models": Step(("live_models",), "day"),
    "risk_forecasts": Step(("risk_forecasts",), "day"),
    "patrol_plans": Step(("patrol_plans",), "day"),
    "fold_models": Step(("fold_models",), "fold", {"models": ["stack"]}),
    "evaluation_reports": Step(("evaluation_reports",), "fold", {"horizons": [], "types": False}),
    "city_pages": Step(("city_pages",), "city"),
}


def main() -> None:
    """Print the table that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", default="costs", choices=["costs", "sample", "step"])
    parser.add_argument("--data", type=Path, required=True, help="folder with the cities' Parquet files")
    parser.add_argument("--cache", type=Path, required=True, help="folder for stores, counts and forecasts")
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES), help="rows, and columns, of Washington DC")
    parser.add_argument("--large", action="store_true", help="the simulated city too")
    parser.add_argument("--steps", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--rows", type=int, default=300_000, help="of a sample")
    parser.add_argument("--city", help="of a step")
    asked = parser.parse_args()
    if asked.what == "sample":
        for size in asked.sizes:
            compare(size, asked.rows, asked.data, asked.cache)
    elif asked.what == "step":
        run_step(asked.city, STEPS[asked.steps[0]], asked.cache)
    else:
        print("| city | asset | CPU s | wall s | peak GB |\n| --- | --- | --- | --- | --- |")
        cities = [prepared(size, asked.data, asked.cache) for size in asked.sizes]
        for city in cities + ([prepared_large(asked.cache)] if asked.large else []):
            for step in asked.steps:
                cpu, wall, peak = measured(city, step, asked)
                print(f"| {city} | {step} | {cpu:.0f} | {wall:.0f} | {peak:.1f} |", flush=True)


def prepared(size: int, data: Path, cache: Path) -> str:
    """The name of Washington DC at a size, whose file and landing folder are made."""
    name = f"dc_{size}"
    BENCHMARKS[name] = replace(BENCHMARKS["washington_dc"], cells=size)
    described = city_of(name).model_dump(mode="json", exclude_unset=True)
    folder = cache / "landing" / name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy2((data / "washington_dc.parquet").resolve(), folder / "washington_dc.parquet")
    return _written(described | {"patrol": PATROL}, cache)


def prepared_large(cache: Path) -> str:
    """The name of the simulated city, whose file and coverage are made: sensors hear its eastern half."""
    west, south, east, north = -77.5, 38.7, -77.08, 39.03
    middle = (west + east) / 2
    ring = [[middle, south], [east, south], [east, north], [middle, north], [middle, south]]
    feature = {
        "type": "Feature",
        "properties": {"name": "east"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    coverage = cache / "large_city_coverage.geojson"
    cache.mkdir(parents=True, exist_ok=True)
    coverage.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    described = {
        "name": LARGE,
        "time_zone": "America/New_York",
        "start": date(2014, 1, 1),
        "box": {"west": west, "south": south, "east": east, "north": north},
        "grid": {"rows": LARGE_SIZE, "columns": LARGE_SIZE},
        "coverage": {"file": str(coverage.absolute()), "name_property": "name", "areas": {"east": date(2014, 1, 1)}},
        "source": {"kind": "simulated", "seed": 5, "alerts_per_day": LARGE_ALERTS},
        "patrol": PATROL,
    }
    return _written(described, cache)


def _written(described: dict[str, Any], cache: Path) -> str:
    file = cache / "cities" / f"{described['name']}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(described))
    return str(described["name"])


def measured(city: str, step: str, asked: argparse.Namespace) -> tuple[float, float, float]:
    """(CPU seconds, wall seconds, largest memory in GB) of a step in a process of its own."""
    arguments = ["step", "--data", str(asked.data), "--cache", str(asked.cache), "--city", city, "--steps", step]
    began = time.monotonic()
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr[-3_000:])
        return float("nan"), time.monotonic() - began, float("nan")
    cpu, peak = json.loads(done.stdout.splitlines()[-1])
    return cpu, time.monotonic() - began, peak


def run_step(city: str, step: Step, cache: Path) -> None:
    """Run a step here, and print its CPU seconds and its largest memory in GB."""
    cities = load_cities(cache / "cities")
    start = cities[city].start
    settings = Settings({city: cities[city]}, str(cache / "store"), str(cache / "landing"))
    whole = build_definitions(settings)
    how: dict[str, Any] = {
        "days": {"tags": range_tags(city, start, LAST)},
        "day": {"partition_key": key_of(city, LAST)},
        "fold": {"partition_key": key_of(city, FOLD)},
        "city": {"partition_key": city},
    }[step.partition]
    if step.config:
        how["run_config"] = {"ops": {step.assets[0]: {"config": step.config}}}
    with dg.DagsterInstance.ephemeral() as instance:
        selection = dg.AssetSelection.assets(*step.assets).without_checks()
        dg.materialize(
            list(whole.assets or []), selection=selection, resources=whole.resources, instance=instance, **how
        )
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(one.ru_utime + one.ru_stime for one in used)
    print(json.dumps([cpu, used[0].ru_maxrss / 2**20]))


def compare(size: int, rows: int, data: Path, cache: Path) -> None:
    """Print what fits on a sample of so many cell-days lose against fits on all of them."""
    name = f"washington_dc_{size}_cells"
    BENCHMARKS[name] = replace(BENCHMARKS["washington_dc"], cutoffs=SAMPLE_CUTOFFS, cells=size)
    [fold] = folds(name, data, cache)
    cells, days = int(fold.history.in_coverage.sum()), fold.validation.stop
    print(
        f"\n{size} x {size}, {cells:,} covered cells x {days:,} days = {cells * days:,} cell-days, of which {rows:,} are drawn\n\n"
        "| forecast | log loss, all | sample | gain of the sample | pred/obs, all | sample |\n| --- | --- | --- | --- | --- | --- |"
    )
    whole, sampled = (_forecasts(fold, limit, cache) for limit in (cells * days, rows))
    observed = fold.history.observed[fold.test.start : fold.test.stop]
    for model in whole:
        both = {"all": whole[model], "sample": sampled[model]}
        gain = table_gain(fold.table(both), "sample", "all")
        losses = [log_losses(forecast, observed).mean() for forecast in both.values()]
        ratios = [forecast.sum() / observed.sum() for forecast in both.values()]
        print(
            f"| {model} | {losses[0]:.6f} | {losses[1]:.6f} | {gain.text()} | {ratios[0]:.3f} | {ratios[1]:.3f} |",
            flush=True,
        )


def _forecasts(fold: Any, limit: int, cache: Path) -> dict[str, np.ndarray]:
    """Of the test days by the stack and its members, fitted on so many cell-days."""
    kept = cache / f"{fold.name}_{limit}_rows.npz"
    if not kept.exists():
        features.MAX_FIT_ROWS = limit
        history = replace(fold.history)  # with nothing kept
        context = FitContext(package_start(history.city.name, fold.cutoff - timedelta(days=1)))
        settings = StackSettings()
        began = time.process_time()
        fitted: Any = forecaster("stack", settings).fit(
            history.through(fold.validation.stop), fold.train, fold.validation, context
        )
        print(f"{kept.stem}: {time.process_time() - began:.0f} s of CPU", file=sys.stderr, flush=True)
        of_all = {"stack": fitted, **fitted.members}
        np.savez(kept, **{name: each.predict(history, fold.test) for name, each in of_all.items()})
    return dict(np.load(kept))


if __name__ == "__main__":
    main()
