"""Rows that were landed again in another file, with other times: nearly all rows of a file repeat rows of other files.

A file is a copy on a day if nearly all of its rows have the point of a row of another file, at its time plus one shift that
is the same for all of them. Chance does not do that for `MIN_POINTS` different points; single rows that are near each other
prove nothing, as one episode gives several alerts.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

DAYS_BEFORE: Final = 6
"""Days before a day that it is judged with: a week has the rows that prove a copy also where a day has one or two."""

MIN_SHARE: Final = 0.9
"""Share of a file's rows, among those that the other files may have, that a copy repeats."""

MIN_POINTS: Final = 4
MIN_POINTS_OF_WHOLE_HOURS: Final = 8
"""Different points at which a copy repeats rows; more where times are whole hours or dates, which agree by chance."""

MAX_DECIMALS: Final = 5
"""Of degrees, about a metre: conversions between coordinate systems differ below it."""

SECOND, MINUTE, HOUR = 1_000_000, 60_000_000, 3_600_000_000
"""In microseconds."""

UNKNOWN: Final = -1
"""Number of a type that is not known."""

MAX_CANDIDATES: Final = 200_000
"""Pairs of rows at one point that are looked at to find the shift, those at the rarest points first."""


class Rows(NamedTuple):
    """Usable rows without exact duplicates, sorted by time; all of shape (rows,)."""

    day: npt.NDArray[np.int64]
    """Number of the local day."""
    micros: npt.NDArray[np.int64]
    """Microseconds since 1970."""
    longitude: npt.NDArray[np.float64]
    latitude: npt.NDArray[np.float64]
    kind: npt.NDArray[np.int8]
    """Code of the type, `UNKNOWN` where it is not known."""
    file: npt.NDArray[np.int64]
    """Number of the file."""
    received: npt.NDArray[np.int64]
    """When each row was first seen; of two files, the one that was seen first has the originals, else the smaller number."""

    def at(self, rows: npt.NDArray[np.int64] | slice) -> "Rows":
        return Rows(
            self.day[rows], self.micros[rows], self.longitude[rows], self.latitude[rows], self.kind[rows], self.file[rows],
            self.received[rows],
        )  # fmt: skip


def landed_twice(rows: Rows) -> npt.NDArray[np.bool_]:
    """Which rows are of another file's alert, shape (rows,).

    Each day is judged with the `DAYS_BEFORE` it: a pair of rows of one day loses the one of the later file, a pair of two
    days the one of the later day. So a day's outcome depends on these days alone, whatever range is looked at.
    """
    repeated = np.zeros(len(rows.day), dtype=bool)
    if len(rows.day) == 0 or (rows.file == rows.file[0]).all():
        return repeated
    days, starts = np.unique(rows.day, return_index=True)
    stops = np.r_[starts[1:], len(rows.day)]
    firsts = starts[np.searchsorted(days, days - DAYS_BEFORE)]
    for first, start, stop in zip(firsts, starts, stops, strict=True):
        if (rows.file[first:stop] != rows.file[start]).any():
            repeated[first + _repeated_on_last_day(rows.at(slice(first, stop)))] = True
    return repeated


def _repeated_on_last_day(rows: Rows) -> npt.NDArray[np.int64]:
    """Positions of the rows of the last day that are to be left out, of the rows of that day and some before it."""
    today = rows.day == rows.day[-1]
    left_out: list[npt.NDArray[np.int64]] = []
    files, at, sizes = np.unique(rows.file, return_inverse=True, return_counts=True)
    received = np.full(len(files), rows.received.max())
    np.minimum.at(received, at, rows.received)
    rank = np.empty(len(files), dtype=np.int64)
    rank[np.argsort(received, kind="stable")] = np.arange(len(files))
    has_rows = np.bincount(at[today], minlength=len(files)) > 0
    for file in np.flatnonzero((rank > 0) & (sizes >= MIN_POINTS) & has_rows):
        own, others = np.flatnonzero(at == file), np.flatnonzero(rank[at] < rank[file])
        copies, originals = _pairs(rows.at(own), rows.at(others))
        copies, originals = own[copies], others[originals]
        left_out += [copies[today[copies]], originals[today[originals] & ~today[copies]]]
    return np.concatenate(left_out) if left_out else np.empty(0, dtype=np.int64)


def _pairs(own: Rows, others: Rows) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions of the rows of a copy and of the rows that they repeat; none if the rows are not a copy."""
    none = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    decimals = _decimals(own), _decimals(others)
    step = max(_time_step(own.micros), _time_step(others.micros))
    times = own.micros // step, others.micros // step
    # A publisher that writes fewer decimals rounds or cuts.
    for roundings in (np.rint, np.trunc) if decimals[0] != decimals[1] else (np.rint,):
        places = _places(own, others, min(decimals), roundings)
        shift = _commonest_shift(places, times, (own.kind, others.kind))
        if shift is None:
            continue
        copies, originals = _matched(places, times, shift, (own.kind, others.kind))
        expected = times[0] - shift
        may_be_there = (expected >= times[1].min()) & (expected <= times[1].max() + 1)
        may_be_there[copies] = True
        points = len(np.unique(places[0][copies]))
        min_points = MIN_POINTS_OF_WHOLE_HOURS if step == HOUR else MIN_POINTS
        if points >= min_points and len(copies) >= MIN_SHARE * may_be_there.sum():
            return copies, originals
    return none


def _time_step(micros: npt.NDArray[np.int64]) -> int:
    """The coarsest of hour, minute and second that all times are whole in; finer ones count as seconds."""
    return next((step for step in (HOUR, MINUTE) if (micros % step == 0).all()), SECOND)


def _decimals(rows: Rows) -> int:
    """Decimals that the points are written with, `MAX_DECIMALS` at most."""
    degrees = np.r_[rows.longitude, rows.latitude]
    for decimals in range(2, MAX_DECIMALS):
        scaled = degrees * 10**decimals
        if (np.abs(scaled - np.rint(scaled)) < 1e-6).all():
            return decimals
    return MAX_DECIMALS


def _places(
    own: Rows, others: Rows, decimals: int, rounding: np.ufunc
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Numbers of the points, the same for equal points."""
    # What is exact before it is cut must not fall below itself.
    nudge = 1e-6 if rounding is np.trunc else 0.0
    east, north = (
        rounding(degrees * 10**decimals + np.sign(degrees) * nudge).astype(np.int64)
        for degrees in (np.r_[own.longitude, others.longitude], np.r_[own.latitude, others.latitude])
    )
    place = np.unique(north * 10**8 + east, return_inverse=True)[1].ravel()
    return place[: len(own.day)], place[len(own.day) :]


def _commonest_shift(
    places: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    times: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    kinds: tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]],
) -> int | None:
    """The shift, in steps, that most pairs of rows at one point have, or it and one step more; None without pairs."""
    by_place = np.argsort(places[1], kind="stable")
    sorted_places = places[1][by_place]
    left, right = (np.searchsorted(sorted_places, places[0], side=side) for side in ("left", "right"))
    size = right - left
    rarest = np.argsort(size, kind="stable")
    rarest = rarest[(size[rarest] > 0) & (np.cumsum(size[rarest]) <= MAX_CANDIDATES)]
    if len(rarest) == 0:
        return None
    counts = size[rarest]
    own = np.repeat(rarest, counts)
    others = by_place[np.repeat(left[rarest] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())]
    own, others = (rows[_may_be_one(kinds[0][own], kinds[1][others])] for rows in (own, others))
    if len(own) == 0:
        return None
    shifts, pairs = np.unique(times[0][own] - times[1][others], return_counts=True)
    with_next = pairs + np.r_[np.where(np.diff(shifts) == 1, pairs[1:], 0), 0]
    best = np.lexsort((np.abs(shifts), -with_next))[0]
    return int(shifts[best])


def _matched(
    places: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    times: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    shift: int,
    kinds: tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions (own, other) of rows at one point and the shift apart, or one step more, one to one."""
    free = [np.arange(len(place)) for place in places]
    matched: list[npt.NDArray[np.int64]] = []
    for by in (shift, shift + 1):
        expected = [times[0][free[0]] - by, times[1][free[1]]]
        first = min((part.min() for part in expected if len(part)), default=0)
        width = max((part.max() for part in expected if len(part)), default=0) - first + 1
        ours, theirs = (
            _occurrences(place[rows] * width + part - first)
            for place, rows, part in zip(places, free, expected, strict=True)
        )
        _, own, other = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
        pairs = np.column_stack([free[0][own], free[1][other]])
        matched.append(pairs[_may_be_one(kinds[0][pairs[:, 0]], kinds[1][pairs[:, 1]])])
        free = [np.setdiff1d(rows, matched[-1][:, side]) for side, rows in enumerate(free)]
    own, others = np.concatenate(matched).T
    return own, others


def _occurrences(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Numbers that differ: each key with how many equal ones come before it."""
    order = np.argsort(keys, kind="stable")
    in_order = keys[order]
    before = np.empty(len(keys), dtype=np.int64)
    before[order] = np.arange(len(keys)) - np.searchsorted(in_order, in_order)
    return (keys << 20) + before


def _may_be_one(own: npt.NDArray[np.int8], others: npt.NDArray[np.int8]) -> npt.NDArray[np.bool_]:
    """Whether two rows may be of one alert by their types."""
    return (own == others) | (own == UNKNOWN) | (others == UNKNOWN)
