"""Streets ranked by risk: `python benchmarks/streets.py --data FOLDER --cache FOLDER [--cities ...]`.

Four quarterly folds of each city: the stack's forecast of the cells, as `next_day.py` makes it, divided among the segments of
streets by shares that are learned again every four weeks from the alerts before; against the same forecast divided by
length, a kernel density on the network and the historical mean of each segment, both with settings chosen on the validation
window. `--data` is a folder of alerts with the files of streets in `layers/`. Prints Markdown: gains in nats per
segment-day with an alert, with 90% intervals of a weekly block bootstrap, and hit rates and PAI of the streets with the most
expected alerts per metre. At last Cincinnati, whose points are exact, learned from points rounded as Washington's are
and scored on the exact ones.
"""

import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache as once
from pathlib import Path

import numpy as np
from benchmark_cities import PACKAGED, Fold, alerts_of, city_of, folds, parser
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from shared_model import start_of
from stack_members import members_of, stack_of
from street_scores import LENGTHS, Network, best_prior, constant_loss, hits, mean_rates, soft_losses

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.layers import Streets
from shotspotter_assets.city_files import PACKAGE_CITIES
from shotspotter_assets.evaluation.gains import weekly_gain, weekly_sums
from shotspotter_assets.streets.segments import Parts, Segments, parts_of, read_segments
from shotspotter_assets.streets.shares import Alerts, StreetShares

Array = np.ndarray

CITIES = ("washington_dc", "oakland", "cincinnati")
REFIT_DAYS = 28
ROUNDED_DECIMALS = 3  # as Washington's points are
BANDWIDTHS = (25.0, 50.0, 100.0, 200.0, 400.0)  # metres along the network; distances end at three of them
UNIFORM_SHARES = (0.05, 0.2, 0.5)
OURS, BY_LENGTH, KERNEL, MEAN = "streets", "cells, by length", "network KDE", "historical mean"


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
class Town:
    """A city with its streets and alerts."""

    city: City
    segments: Segments
    parts: Parts
    learned: Alerts  # those that models see
    scored: Alerts  # the same alerts, as exact as they are

    @classmethod
    def of(cls, name: str, data: Path | None, streets: str | None = None) -> "Town":
        """A city of the benchmarks, with the streets of the one of that name."""
        city = city_of(name).model_copy(update={"streets": streets_of(streets or name, data)})
        table = alerts_of(name, data)
        longitude, latitude = (table[axis].to_numpy() for axis in ("longitude", "latitude"))
        alerts = Alerts(table["date"].to_numpy().astype("datetime64[D]"), longitude, latitude)
        segments = read_segments(city)
        return cls(city, segments, parts_of(city, segments), alerts, alerts)

    def alert_days(self, network: Network, alerts: Alerts, days: Array) -> sparse.csr_array:
        """See `Network.alert_days`."""
        return network.alert_days(self.city, self.parts, alerts, days)

    def rounded(self) -> "Town":
        """What models see is rounded."""
        box, alerts = self.city.box, self.learned
        longitude = np.clip(alerts.longitude.round(ROUNDED_DECIMALS), box.west, box.east)
        latitude = np.clip(alerts.latitude.round(ROUNDED_DECIMALS), box.south, box.north)
        return replace(self, learned=Alerts(alerts.days, longitude, latitude))


def network_distances(segments: Segments, limit: float) -> sparse.csr_array:
    """Metres along the network between the middles of segments that are less than `limit` apart, the own one 0."""
    import shapely

    ends = np.stack([shapely.get_coordinates(shapely.get_point(segments.lines, at)) for at in (0, -1)], axis=1)
    _, node = np.unique(ends.reshape(-1, 2), axis=0, return_inverse=True)
    count, nodes = len(segments), int(node.max()) + 1
    middle = np.repeat(np.arange(count), 2)
    graph = sparse.coo_array(
        (np.repeat(segments.metres / 2, 2), (middle, count + node.ravel())), shape=(count + nodes, count + nodes)
    ).tocsr()
    blocks = []
    for first in range(0, count, 500):
        metres = dijkstra(graph, directed=False, indices=np.arange(first, min(first + 500, count)), limit=limit)
        metres = metres[:, :count]
        row, column = np.nonzero(np.isfinite(metres))
        # Sparse matrices forget zeros.
        blocks.append(sparse.csr_array((metres[row, column] + 1e-9, (row, column)), shape=metres.shape))
    return sparse.vstack(blocks, format="csr")


def kernel_rates(kernel: sparse.csr_array, seen: Array, days: int, metres: Array, uniform: float) -> Array:
    """Alert days per day of each segment by a kernel density on the network, a part of it evenly over all metres."""
    return ((1 - uniform) * (seen @ kernel) + uniform * seen.sum() * metres / metres.sum()) / days


def forecasts_of(
    town: Town, fold: Fold, cells: Array, distances: Callable[[], sparse.csr_array]
) -> Iterator[tuple[dict[str, Array], Array, Array, Array]]:
    """Every four weeks of the test window: expected alert days by model, what was observed, the days, and the metres."""
    history, days = fold.history, fold.history.days()
    network = Network.of(town.parts, history.in_coverage)
    shown, metres = network.shown, network.metres
    before = days[: fold.validation.start]
    seen = town.alert_days(network, town.learned, before).sum(axis=0)
    validation = town.alert_days(network, town.learned, days[fold.validation.start : fold.validation.stop]).sum(axis=0)

    near = distances()[shown][:, shown]
    kernels = {}
    for bandwidth in BANDWIDTHS:
        kernel = near.copy()
        kernel.data = np.where(near.data <= 3 * bandwidth, np.exp(-0.5 * (near.data / bandwidth) ** 2), 0.0)
        kernel = kernel.multiply(metres[None, :]).tocsr()
        kernels[bandwidth] = sparse.diags_array(1 / kernel.sum(axis=1)) @ kernel
    bandwidth, uniform = min(
        itertools.product(BANDWIDTHS, UNIFORM_SHARES),
        key=lambda chosen: constant_loss(
            kernel_rates(kernels[chosen[0]], seen, len(before), metres, chosen[1]), validation, len(fold.validation)
        ),
    )
    prior = best_prior(seen, len(before), validation, len(fold.validation), metres)
    print(
        f"{fold.name}: network KDE of {bandwidth:.0f} m, {uniform} uniform; mean with {prior}",
        file=sys.stderr,
        flush=True,
    )
    for first in range(fold.test.start, fold.test.stop, REFIT_DAYS):
        block = range(first, min(first + REFIT_DAYS, fold.test.stop))
        seen = town.alert_days(network, town.learned, days[:first]).sum(axis=0)
        shares = StreetShares.fit(town.city, town.parts, town.learned.chosen(town.learned.days < days[first]))
        probability = np.zeros((len(block), town.parts.cells))
        probability[:, network.in_coverage] = cells[first - fold.test.start : block.stop - fold.test.start]
        hazard = -shares.segments_per_day * np.log1p(-probability)
        forecasts = {
            OURS: shares.divided(hazard)[0][:, shown],
            BY_LENGTH: replace(shares, share=_by_length(town.parts)).divided(hazard)[0][:, shown],
            KERNEL: kernel_rates(kernels[bandwidth], seen, first, metres, uniform),
            MEAN: mean_rates(seen, first, metres, prior),
        }
        tested = days[first : block.stop]
        yield forecasts, town.alert_days(network, town.scored, tested).toarray(), tested, metres


def _by_length(parts: Parts) -> Array:
    in_cell = np.bincount(parts.cell, parts.metres, minlength=parts.cells)
    return np.concatenate([parts.metres / in_cell[parts.cell], np.where(in_cell > 0, 0.0, 1.0)])


@dataclass
class Scores:
    """What is summed over the four-week blocks of all folds of a city."""

    days: list[Array]
    positives: list[Array]
    losses: dict[str, list[Array]]
    hits: dict[str, list[dict[int, float]]]
    expected: dict[str, float]
    segment_days: int
    metres: float

    @classmethod
    def none(cls) -> "Scores":
        """Before the first block."""
        return cls([], [], {}, {}, {}, 0, 0.0)

    def add(self, forecasts: dict[str, Array], observed: Array, days: Array, metres: Array) -> None:
        """Score one block."""
        self.days.append(days)
        self.positives.append(observed.sum(axis=1))
        self.segment_days += observed.size
        self.metres = float(metres.sum())
        for name, expected in forecasts.items():
            probability = np.broadcast_to(-np.expm1(-expected), observed.shape)
            self.losses.setdefault(name, []).append(soft_losses(probability, observed).sum(axis=1))
            self.hits.setdefault(name, []).append(hits(expected, observed, metres))
            self.expected[name] = self.expected.get(name, 0.0) + float(probability.sum())

    def rows(self) -> Iterator[str]:
        """A Markdown row of each model."""
        positives = np.concatenate(self.positives)
        losses = {name: np.concatenate(parts) for name, parts in self.losses.items()}
        weekly = weekly_sums(np.concatenate(self.days), positives, losses)
        for name, loss in losses.items():
            hit = {
                length: sum(of_block[length] for of_block in self.hits[name]) / positives.sum() for length in LENGTHS
            }
            gain = "" if name == MEAN else weekly_gain(weekly, name, MEAN).text()
            yield " | ".join(
                [
                    name,
                    f"{loss.sum() / self.segment_days:.6f}",
                    gain,
                    f"{self.expected[name] / positives.sum():.2f}",
                    *(f"{hit[length]:.3f} ({hit[length] / length * 100:.1f})" for length in LENGTHS),
                ]
            )


def show(title: str, scores: Scores) -> None:
    """One Markdown table."""
    positives = sum(part.sum() for part in scores.positives)
    print(
        f"\n### {title}: {scores.segment_days:,} segment-days of {scores.metres / 1000:,.0f} km, {positives:,.0f} with an alert\n"
    )
    lengths = " | ".join(f"hit rate (PAI) of {length}%" for length in LENGTHS)
    print(f"| forecast | log loss | gain over {MEAN} | pred/obs | {lengths} |\n{'| --- ' * (4 + len(LENGTHS))}|")
    for row in scores.rows():
        print(f"| {row} |", flush=True)


def main() -> None:
    """Forecast what is not in the cache, and print the tables."""
    chosen = parser(__doc__, cities=CITIES, choices=CITIES).parse_args()
    for name in chosen.cities:
        exact = Town.of(name, chosen.data)
        towns = {name: exact}
        if name == "cincinnati":
            towns[f"{name}, learned from rounded points"] = exact.rounded()
        distances = once(lambda town=exact: network_distances(town.segments, 3 * max(BANDWIDTHS)))
        scores = {title: Scores.none() for title in towns}
        for fold in folds(name, chosen.data, chosen.cache):
            members = members_of(fold, chosen.cache, shared=start_of(name, fold.cutoff, chosen.data, chosen.cache))
            cells = stack_of(fold, members).predict(fold.history, fold.test)
            for title, town in towns.items():
                for block in forecasts_of(town, fold, cells, distances):
                    scores[title].add(*block)
        for title, of_town in scores.items():
            show(title, of_town)


if __name__ == "__main__":
    main()
