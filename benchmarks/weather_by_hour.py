"""What the weather of an hour tells of the city's alerts: `python benchmarks/weather_by_hour.py --data FOLDER --cache FOLDER`.

Whether the covered cells of a city have any alert in an hour, on ordinary days before the first test day: a logistic regression
on the hour of the week, the season and the level of the last weeks, without and with the weather of the hour itself, as if it had
been known, and with that of the hour before. `--data` is a folder of alerts with `layers/` in it. Gains in nats per hour with an
alert, with 90% intervals of a weekly block bootstrap. Prints Markdown.
"""

from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from benchmark_cities import BENCHMARKS, history_of, parser
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from shotspotter_assets.calendar.firework_days import is_holiday_fireworks
from shotspotter_assets.evaluation.gains import weekly_gain, weekly_sums
from shotspotter_assets.gridding.coverage import estimate_coverage
from shotspotter_assets.models.filters import exponential_mean
from shotspotter_assets.models.next_day.features import weekday_and_season
from shotspotter_assets.models.probability import log_losses

Array = npt.NDArray[np.float64]

WEATHER = {
    "washington_dc": ("washington_dc/weather_hourly_2011_2023", "time_utc", None, date(2014, 3, 1), date(2017, 1, 1)),
    # Its times are on the clock of New York without summer time.
    "cincinnati": ("cincinnati_oh/weather_hourly_2020_2024", "time_local_source", "Etc/GMT+5", date(2020, 3, 1), date(2021, 7, 1)),
}  # fmt: skip
"""File and column of times with their zone; the first day to fit on, and the first to compare on, to the first test day."""
HOURS_OF_LEVEL, MIN_RATE = (24 * 7, 24 * 30), 1e-3
INVERSE_PENALTY = 0.1


def weather_of(city: str, data: Path, starts: npt.NDArray[np.datetime64]) -> dict[str, Array]:
    """Rain, cold and heat of the hours from `starts` on (UTC), each (hours,); NaN where nothing is known."""
    file, column, zone, *_ = WEATHER[city]
    table = pd.read_parquet(data / f"layers/{file}.parquet")
    times = table[column] if zone is None else table[column].dt.tz_localize(zone)
    table = table.set_index(times.dt.tz_convert("UTC")).reindex(pd.DatetimeIndex(starts, tz="UTC"))
    degrees, millimetres = (table[name].to_numpy(dtype=np.float64) for name in ("temp_c", "precip_mm"))
    return {
        "rains": np.where(np.isnan(millimetres), np.nan, millimetres >= 0.1),
        "log rain": np.log1p(millimetres),
        "degrees": degrees,
        "below freezing": np.maximum(-degrees, 0),
        "above 25 degrees": np.maximum(degrees - 25, 0),
    }


def main() -> None:
    """Print the table."""
    chosen = parser(__doc__, cities=list(WEATHER), choices=list(WEATHER)).parse_args()
    print(
        "| city | hours, with an alert | weather of the hour, as if known | weather of the hour before |\n| --- | --- | --- | --- |"
    )
    for city in chosen.cities:
        *_, first, split = WEATHER[city]
        end = BENCHMARKS[city].cutoffs[0]
        stored = history_of(city, chosen.data, chosen.cache).until(date.fromordinal(end.toordinal() - 1))
        hours = stored.hourly(estimate_coverage(stored.daily_counts.sum(axis=1, dtype=np.int64)))
        days, hour_of_week = hours.clock.day[: len(hours)], hours.clock.hour_of_week[: len(hours)]
        observed = hours.occupied.any(axis=1)
        of_week = hour_of_week[:, None] == np.arange(7 * 24)
        levels = [exponential_mean(observed.astype(np.float64)[:, None], span)[:-1] for span in HOURS_OF_LEVEL]
        season = [np.broadcast_to(value, (len(days), 1)) for _, value in weekday_and_season(days)]
        base = np.hstack([of_week, *season, *(np.log(level + MIN_RATE) for level in levels)])
        weather = np.column_stack(list(weather_of(city, chosen.data, hours.starts[: len(hours)]).values()))
        before = np.vstack([weather[:1], weather[:-1]])
        usable = ~is_holiday_fireworks(days) & np.isfinite(weather).all(axis=1) & np.isfinite(before).all(axis=1)
        fitted = usable & (days >= np.datetime64(first)) & (days < np.datetime64(split))
        compared = usable & (days >= np.datetime64(split))
        losses = {}
        for name, inputs in (
            ("none", base),
            ("hour", np.hstack([base, weather])),
            ("before", np.hstack([base, before])),
        ):
            scaler = StandardScaler().fit(inputs[fitted])
            model = LogisticRegression(C=INVERSE_PENALTY, max_iter=1_000).fit(
                scaler.transform(inputs[fitted]), observed[fitted]
            )
            losses[name] = log_losses(model.predict_proba(scaler.transform(inputs[compared]))[:, 1], observed[compared])
        weekly = weekly_sums(days[compared], observed[compared], losses)
        gains = " | ".join(weekly_gain(weekly, name, "none").text() for name in ("hour", "before"))
        print(f"| {city} | {compared.sum():,}, {observed[compared].sum():,} | {gains} |", flush=True)


if __name__ == "__main__":
    main()
