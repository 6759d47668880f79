"""Streets ranked by risk: `python benchmarks/streets.py --data FOLDER --cache FOLDER [--cities ...]`.

Four quarterly folds of each city: the stack's forecast of the cells, as `next_day.py` makes it, divided among the segments of
streets by shares that are learned again every four weeks from the alerts before; against the historical mean of each
segment, whose prior is chosen on the validation window. `--data` is a folder of alerts with the files of streets in
`layers/`. Prints Markdown: log loss of a segment-day, and the gain in nats per segment-day with an alert, with its 90%
interval of a weekly block bootstrap.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmark_cities import PACKAGED, Fold, alerts_of, city_of, folds, parser, print_head, print_row
from scipy import sparse
from shared_model import start_of
from stack_members import members_of, stack_of

from shotspotter_assets.arrays import Array
from shotspotter_assets.calendar.dates import dates_of
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.layers import Streets
from shotspotter_assets.city_files import PACKAGE_CITIES
from shotspotter_assets.evaluation.gains import weekly_gain, weekly_sums
from shotspotter_assets.models.probability import log_losses
from shotspotter_assets.streets.segments import Parts, parts_of, read_segments
from shotspotter_assets.streets.shares import Alerts, StreetShares, nearest_parts

CITIES = ("washington_dc", "oakland", "cincinnati")
REFIT_DAYS = 28
PRIOR_ALERT_DAYS = (0.1, 0.3, 1.0, 3.0)  # strengths of the prior of a segment's mean, in days with an alert
OURS, MEAN = "streets", "historical mean"


def streets_of(name: str, data: Path | None) -> Streets:
    """The file of a city's streets, without freeways, ramps and alleys."""
    if data is None or name == PACKAGED:
        path = PACKAGE_CITIES / PACKAGED / "streets.parquet"
        return Streets(path=path, name="name", only={"mtfcc": ("S1200", "S1400")})
    layers = data / "layers"
    if name == "oakland":
        kinds = ("primary", "secondary", "tertiary", "residential")
        return Streets(path=layers / "oakland_ca/streets_osm.parquet", name="name", only={"highway": kinds})
    path = layers / "cincinnati_oh/streets_tiger_address_ranges.parquet"
    return Streets(path=path, name="name", number_from="number_min", number_to="number_max")


@dataclass(frozen=True)
class Network:
    """The streets in covered cells, which are forecast and scored, and the city's alerts."""

    city: City
    parts: Parts
    alerts: Alerts
    in_coverage: np.ndarray  # shape (cells,)
    shown: np.ndarray  # numbers of the segments
    metres: Array  # their length within covered cells, shape (shown,)

    @classmethod
    def of(cls, city: City, parts: Parts, alerts: Alerts, in_coverage: np.ndarray) -> "Network":
        """The streets of covered cells."""
        covered = parts.metres * in_coverage.ravel()[parts.cell]
        metres = np.bincount(parts.segment, covered, minlength=parts.segments)
        shown = np.flatnonzero(metres)
        return cls(city, parts, alerts, in_coverage.ravel(), shown, metres[shown])

    def alert_days(self, days: np.ndarray) -> Array:
        """1 for each segment with an alert on each of contiguous days, else 0; shape (days, shown)."""
        alerts = self.alerts.chosen((self.alerts.days >= days[0]) & (self.alerts.days <= days[-1]))
        alerts = alerts.chosen(self.in_coverage[alerts.cells(self.city)])
        part = nearest_parts(self.city, self.parts, alerts)
        day, segment = (alerts.days - days[0]).astype(np.int64)[part >= 0], self.parts.segment[part[part >= 0]]
        pairs = np.unique(np.stack([day, np.searchsorted(self.shown, segment)]), axis=1)
        return sparse.csr_array((np.ones(pairs.shape[1]), tuple(pairs)), shape=(len(days), len(self.shown)))

    def mean_rates(self, seen: Array, days: int, prior: float) -> Array:
        """Alert days per day of each segment, shrunk to the network's mean per metre; `prior` is its weight in alert days."""
        per_metre = seen.sum() / days / self.metres.sum()
        return (seen + prior) / (days + prior / (per_metre * self.metres))


def soft_losses(probability: Array, observed: Array) -> Array:
    """Log loss of each segment-day; `observed` may be the share of many days."""
    yes, no = (log_losses(probability, np.full(probability.shape, outcome)) for outcome in (True, False))
    return np.asarray(observed * yes + (1 - observed) * no)


def blocks_of(network: Network, fold: Fold, cells: Array) -> Iterator[tuple[np.ndarray, Array, dict[str, Array]]]:
    """Every four weeks of the test window: the days, what was observed, and expected alert days by model."""
    city, parts, days = network.city, network.parts, fold.history.days()
    before, validation = fold.validation.start, network.alert_days(days[fold.validation.start : fold.validation.stop])
    seen, later = network.alert_days(days[:before]).sum(axis=0), validation.sum(axis=0) / validation.shape[0]

    def loss(prior: float) -> float:
        return float(soft_losses(-np.expm1(-network.mean_rates(seen, before, prior)), later).sum())

    prior = min(PRIOR_ALERT_DAYS, key=loss)
    for first in range(fold.test.start, fold.test.stop, REFIT_DAYS):
        block = range(first, min(first + REFIT_DAYS, fold.test.stop))
        shares = StreetShares.fit(city, parts, network.alerts.chosen(network.alerts.days < days[first]))
        probability = np.zeros((len(block), parts.cells))
        probability[:, network.in_coverage] = cells[first - fold.test.start : block.stop - fold.test.start]
        hazard = -shares.segments_per_day * np.log1p(-probability)
        mean = network.mean_rates(network.alert_days(days[:first]).sum(axis=0), first, prior)
        tested = days[first : block.stop]
        yield (
            tested,
            network.alert_days(tested).toarray(),
            {OURS: shares.divided(hazard)[0][:, network.shown], MEAN: mean},
        )


def main() -> None:
    """Forecast what is not in the cache, and print the table."""
    chosen = parser(__doc__, cities=CITIES, choices=CITIES).parse_args()
    print_head("city", "forecast", "segment-days with an alert", "log loss", f"gain over {MEAN}", "pred/obs")
    for name in chosen.cities:
        city = city_of(name).model_copy(update={"streets": streets_of(name, chosen.data)})
        table, parts = alerts_of(name, chosen.data), parts_of(city, read_segments(city))
        alerts = Alerts(dates_of(table), *(table[axis].to_numpy() for axis in ("longitude", "latitude")))
        days, positives, size = [], [], 0
        losses: dict[str, list[Array]] = {OURS: [], MEAN: []}
        expected = dict.fromkeys(losses, 0.0)
        for fold in folds(name, chosen.data, chosen.cache):
            members = members_of(fold, chosen.cache, shared=start_of(name, fold.cutoff, chosen.data, chosen.cache))
            cells = stack_of(fold, members).predict(fold.history, fold.test)
            network = Network.of(city, parts, alerts, fold.history.in_coverage)
            for tested, observed, forecasts in blocks_of(network, fold, cells):
                days.append(tested)
                positives.append(observed.sum(axis=1))
                size += observed.size
                for model, hazard in forecasts.items():
                    probability = np.broadcast_to(-np.expm1(-hazard), observed.shape)
                    losses[model].append(soft_losses(probability, observed).sum(axis=1))
                    expected[model] += probability.sum()
        came, of_day = np.concatenate(positives), {model: np.concatenate(own) for model, own in losses.items()}
        weekly = weekly_sums(np.concatenate(days), came, of_day)
        for model, loss in of_day.items():
            gain = weekly_gain(weekly, model, MEAN).text() if model != MEAN else ""
            print_row(
                name,
                model,
                f"{came.sum():,.0f}",
                f"{loss.sum() / size:.6f}",
                gain,
                f"{expected[model] / came.sum():.2f}",
            )


if __name__ == "__main__":
    main()
