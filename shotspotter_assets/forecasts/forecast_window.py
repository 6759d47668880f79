"""The window of a live forecast: a record's models, the day that they forecast, and the days that they may use."""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Self

import numpy as np

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY, day_start
from shotspotter_assets.cities.stored_settings import model_settings
from shotspotter_assets.forecasts.serving_record import ServingRecord
from shotspotter_assets.grid.dates import DAY_HOURS
from shotspotter_assets.models.city_history import CityHistory, covered_mask
from shotspotter_assets.models.gunshot_types import AlertRows
from shotspotter_assets.models.history import History, HourlyHistory, firework_days
from shotspotter_assets.models.trained_models import TrainedModels
from shotspotter_assets.storage.arrays import Array
from shotspotter_assets.storage.wording import number_of


@dataclass(frozen=True)
class ForecastWindow:
    """The day after an issue date as a record's models forecast it; made once, and handed down."""

    record: ServingRecord
    models: TrainedModels
    stored: CityHistory  # at the lead of the models
    history: History  # of these days, in the covered cells
    hourly: HourlyHistory | None  # None where the source publishes days only

    @classmethod
    def of(cls, record: ServingRecord, models: TrainedModels, stored: CityHistory) -> Self:
        """Make the window at the lead of a record's models; raise ValueError for a shorter lead, or another box or grid."""
        key = f"{record.city}|{stored.issue_date}"
        if record.lead < stored.lead:
            raise ValueError(
                f"{key}: the last known day is {stored.last_known}, and the models of {record.models_from} were fitted for a "
                f"lead of {number_of(record.lead, 'day')}, not {stored.lead}. Materialize live_models for {key}."
            )
        place = {key: value for key, value in model_settings(stored.city).items() if key in ("box", "grid")}
        if not place.items() <= record.settings.items():
            raise ValueError(f"{key}: box or grid has changed since the training. Materialize live_models for {key}.")
        at_lead = stored.until(stored.issue_date - timedelta(days=record.lead - 1))
        in_coverage = covered_mask(record.covered, stored.city.shape)
        hourly = None if stored.city.time_precision == "day" else at_lead.hourly(in_coverage)
        return cls(record, models, at_lead, at_lead.daily(in_coverage), hourly)

    @property
    def city(self) -> City:
        """The city, as its target sees it."""
        return self.stored.city

    @property
    def key(self) -> str:
        """City and issue date, as messages name the window."""
        return f"{self.city.name}|{self.stored.issue_date}"

    @property
    def date(self) -> date:
        """Local day that is forecast."""
        return self.stored.issue_date + ONE_DAY

    @property
    def index(self) -> range:
        """The day that is forecast, as an index of the history's days."""
        return range(self.history.next_day, self.history.next_day + 1)

    @property
    def is_firework_day(self) -> bool:
        """True for a day of holiday fireworks."""
        return bool(firework_days(self.city, np.array([self.date], "datetime64[D]"))[0])

    @cached_property
    def mixes(self) -> Array | None:
        """The `shown_mixes` of the day's first 24 hours; None without types."""
        if self.hourly is None:
            return None
        return shown_mixes(self.record, self.models, self.hourly, self.first_hour(self.hourly), DAY_HOURS)

    def first_hour(self, hourly: HourlyHistory) -> int:
        """Return the index of the day's first hour in the clock of a history by hour, which may end days before."""
        return hourly.hour_at(day_start(self.date, self.city.zone))


def shown_mixes(
    record: ServingRecord, models: TrainedModels, history: HourlyHistory, first_hour: int, hours: int
) -> Array | None:
    """Return type probabilities of alerts by hour from `first_hour` on and cell, shape (hours, cells, types).

    Only hours before `first_hour` of the history are used. None if no types are shown.
    """
    if record.types_by is None or models.types is None:
        return None
    cells = history.alerts.shape[1]
    rows = AlertRows(
        np.full(hours * cells, min(first_hour, len(history))),
        np.repeat(first_hour + np.arange(hours), cells),
        np.tile(np.arange(cells), hours),
    )
    return models.types.predict(history, rows).reshape(hours, cells, -1)
