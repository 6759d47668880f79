"""The regression of all cities: `python benchmarks/shared_model.py --data FOLDER --cache FOLDER [--write FILE]`.

Cities are six with alerts, year by year through the project's own reading and gridding, each year with the coverage that was
known at its end. Prints Markdown: how far a city's own weights lie from those of the *other* cities, that is, for several
variances of the distance, what the regression gains over one without other cities in the half year after one and after two
years of each city, all of it before its first test day; the police reports of three further cities, which are never among the
others, beside them. With `--write`, also makes the file that comes with the package: the regressions of all six cities before
1 January of each year.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
from benchmark_cities import BENCHMARKS, history_of, parser, print_head, print_row
from scipy.special import expit

from shotspotter_assets.grid.coverage import estimate_coverage
from shotspotter_assets.models.forecaster import SharedStart, log_losses
from shotspotter_assets.models.next_day.shared_regression import (
    MIN_SCALE,
    PACKAGE_FILE,
    SharedModels,
    SharedRows,
    fit_shared,
    fit_shrunk_regression,
)
from shotspotter_assets.storage.stored_file import ALL_CITIES

PLACES = {
    "washington_dc": ("washington_dc", "washington_dc_2013"),
    "oakland": ("oakland",),
    "cincinnati": ("cincinnati",),
    "springfield": ("springfield",),
    "san_francisco": ("san_francisco",),
    "fresno": ("fresno",),
}
"""The benchmarks of each city with alerts."""
POLICE = ("new_york", "philadelphia", "chicago")
SAME_PLACE = {name: place for place, names in PLACES.items() for name in names}
SAME_PLACE["washington_dc_tuning"] = "washington_dc"
"""The place of each benchmark, whose rows must not be among the others."""
YEARS = range(2010, 2024)  # cutoffs of the package's file, 1 January each; the alerts of the six cities end with 2022
VARIANCES = (1e-6, 1e-4, 3e-4, 1e-3, 3e-3)
OWN = 1e-3  # variance of a city's weights around zero, without others
FIT_DAYS = (365, 730)
TEST_DAYS = 180


def rows_of(name: str, data: Path, cache: Path) -> SharedRows:
    """All rows of a benchmark to its last day, each year's with the coverage at its end; from the cache where they are there."""
    kept = cache / f"{name}_shared_rows.npz"
    if not kept.exists():
        history = history_of(name, data, cache)
        parts = []
        first = 0
        days = np.array(history.days, dtype="datetime64[D]")
        ends = [np.datetime64(f"{year}-01-01") for year in range(history.days[0].year + 1, history.days[-1].year + 2)]
        for stop in (int(np.searchsorted(days, end)) for end in ends):
            in_coverage = estimate_coverage(history.daily_counts[:stop].sum(axis=1, dtype=np.int64))
            if in_coverage.any():
                parts.append(SharedRows.of(history.daily(in_coverage).through(stop), first))
            first = stop
        np.savez_compressed(
            kept,
            names=parts[0].names,
            **{key: np.concatenate([getattr(part, key) for part in parts]) for key in ("inputs", "observed", "days")},
            sample_weight=np.concatenate([part.sample_weight for part in parts]),
        )
    content = np.load(kept)
    return SharedRows(
        tuple(content["names"].tolist()), *(content[key] for key in ("inputs", "observed", "sample_weight", "days"))
    )


def between(rows: SharedRows, first: np.datetime64 | date, stop: np.datetime64 | date) -> SharedRows:
    """The rows of the days from `first` to before `stop`."""
    kept = (rows.days >= np.datetime64(first)) & (rows.days < np.datetime64(stop))
    return SharedRows(
        rows.names, *(values[kept] for values in (rows.inputs, rows.observed, rows.sample_weight, rows.days))
    )


def joined(parts: list[SharedRows]) -> SharedRows:
    """The rows of several benchmarks of one place."""
    values = ([getattr(part, key) for part in parts] for key in ("inputs", "observed", "sample_weight", "days"))
    return SharedRows(parts[0].names, *(np.concatenate(arrays) for arrays in values))


def rows_before(cutoff: date, data: Path, cache: Path, without: str = "") -> dict[str, SharedRows]:
    """The rows of all places but one, before a cutoff."""
    rows = {
        place: joined([between(rows_of(name, data, cache), date.min, cutoff) for name in names])
        for place, names in PLACES.items()
        if place != without
    }
    return {place: own for place, own in rows.items() if len(own.observed)}


def start_of(name: str, cutoff: date, data: Path | None, cache: Path) -> SharedStart | None:
    """The start of a benchmark: the other places, before 1 January of the year of the cutoff; none without their data."""
    if data is None:
        return None
    by = date(cutoff.year, 1, 1)
    place = SAME_PLACE.get(name, name)
    kept = cache / f"shared_{by}_without_{place}.json"
    if not kept.exists():
        models = fit_shared(rows_before(by, data, cache, without=place), by, leave_each_out=False)
        kept.write_text(models.model_dump_json())
    return SharedModels.model_validate_json(kept.read_text()).start_of(place, ALL_CITIES)


def training_start(without: str, data: Path, cache: Path) -> SharedStart | None:
    """The start learned from the other places before their own first test days: how far cities differ, not what was known when."""
    kept = cache / f"shared_training_without_{without}.json"
    if not kept.exists():
        rows = {
            place: joined(
                [between(rows_of(name, data, cache), date.min, BENCHMARKS[name].cutoffs[0]) for name in names]
            )
            for place, names in PLACES.items()
            if place != without
        }
        kept.write_text(fit_shared(rows, date(2023, 1, 1), leave_each_out=False).model_dump_json())
    return SharedModels.model_validate_json(kept.read_text()).start_of(without, ALL_CITIES)


def loss_after(fitted: SharedRows, tested: SharedRows, prior: SharedStart | None, variance: float) -> float:
    """Nats per positive of the tested rows."""
    inputs = fitted.inputs.astype(np.float64)
    mean = np.average(inputs, axis=0, weights=fitted.sample_weight)
    scale = np.sqrt(np.average((inputs - mean) ** 2, axis=0, weights=fitted.sample_weight))
    varies = scale > MIN_SCALE
    rows, unseen = (
        np.where(varies, (part - mean) / np.where(varies, scale, 1.0), 0.0)
        for part in (inputs, tested.inputs.astype(np.float64))
    )
    slopes = np.zeros(len(mean)) if prior is None else np.array([prior.slopes[name] for name in fitted.names])
    weights, intercept = fit_shrunk_regression(
        rows, fitted.observed, np.where(varies, slopes * scale, 0.0), variance, fitted.sample_weight
    )
    losses = log_losses(expit(unseen @ weights + intercept), tested.observed)
    return float(losses @ tested.sample_weight / tested.observed.sum())


def gains(data: Path, cache: Path) -> Iterator[tuple[str, int, int, list[float]]]:
    """(city, days fitted on, positives tested on, gain of each variance over the city by itself)."""
    for fit_days in FIT_DAYS:
        for name in [name for names in PLACES.values() for name in names] + list(POLICE):
            first = np.datetime64(BENCHMARKS[name].start)
            end = np.datetime64(BENCHMARKS[name].cutoffs[0])
            split = first + np.timedelta64(fit_days, "D")
            rows = rows_of(name, data, cache)
            fitted = between(rows, first, split)
            tested = between(rows, split, min(split + TEST_DAYS, end))
            if split + TEST_DAYS // 2 > end:
                continue
            place = SAME_PLACE.get(name, name)
            start = training_start(place, data, cache)
            alone = loss_after(fitted, tested, None, OWN)
            saved = [alone - loss_after(fitted, tested, start, variance) for variance in VARIANCES]
            yield f"{name}{' (police)' if place in POLICE else ''}", fit_days, int(tested.observed.sum()), saved


def main() -> None:
    """Print the table; write the package's file."""
    arguments = parser(__doc__, cities=[], needs_data=True)
    arguments.add_argument("--write", action="store_true", help=f"also make the package's {PACKAGE_FILE}")
    chosen = arguments.parse_args()
    if chosen.write:
        import shotspotter_assets.models.next_day.shared_regression as module

        models = [
            fit_shared(rows_before(date(year, 1, 1), chosen.data, chosen.cache), date(year, 1, 1), leave_each_out=False)
            for year in YEARS
        ]
        text = ",\n".join(one.model_dump_json() for one in models)
        Path(module.__file__).with_name(PACKAGE_FILE).write_text(f"[{text}]\n")
    print_head("city", "days", "positives", *(f"{variance:g}" for variance in VARIANCES))
    rows = []
    for name, days, positives, saved in gains(chosen.data, chosen.cache):
        rows.append((days, saved))
        print_row(name, days, f"{positives:,}", *(f"{one:+.3f}" for one in saved))
    for fit_days in FIT_DAYS:
        means = np.mean([saved for days, saved in rows if days == fit_days], axis=0)
        print_row("mean of the cities", fit_days, "", *(f"{one:+.3f}" for one in means))


if __name__ == "__main__":
    main()
