"""Widgets of the notebook: choices, and the figures and tables that follow them."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import ipywidgets as ipw
import pyarrow as pa
import yaml
from plotly import graph_objects as go
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from shotspotter_assets.cities.city import UNKNOWN_TYPE_CODE, City
from shotspotter_assets.city_files import find_city
from shotspotter_assets.commands.explore import figures, tables
from shotspotter_assets.commands.explore.small_fold import train_small_fold
from shotspotter_assets.models import forecaster_registry as registry
from shotspotter_assets.models.forecaster import HORIZONS
from shotspotter_assets.settings import BASE_FOLDER
from shotspotter_assets.storage.catalogue import TENSORS
from shotspotter_assets.storage.errors import StoreError
from shotspotter_assets.storage.progress import Report, listeners

TEST_DAYS: Final = 28
FIGURE: Final = "application/vnd.plotly.v1+json"
NUMBERS: Final = {"boolean": ipw.Checkbox, "integer": ipw.IntText, "number": ipw.FloatText}  # widgets by JSON type


def _laid_out(widget: Any) -> Any:
    """Return a widget with the widths that line up all widgets."""
    widget.style.description_width = "130px"
    widget.layout.width = "420px"
    return widget


def setting_widget(name: str, field: FieldInfo, value: Any) -> Any:
    """Return a widget for a setting of a forecaster; values other than numbers and choices are written as YAML."""
    kind: Any = field.annotation
    schema = TypeAdapter(kind).json_schema()
    if "enum" in schema:
        widget = ipw.Dropdown(options=schema["enum"], value=value)
    elif (number := NUMBERS.get(schema.get("type", ""))) is not None:
        widget = number(value=value)
    else:
        widget = ipw.Text(json.dumps(value))
    widget.description = name
    widget.tooltip = field.description
    return _laid_out(widget)


class Explorer:
    """Choices of a city, target, day, horizon and model, and the views that follow them."""

    def __init__(self, name: str, environ: Mapping[str, str] = os.environ, base: Path = BASE_FOLDER) -> None:
        """Offer the cities with stored days, `name` first; `environ` and `base` are those of `tables.open_store`."""
        self.store, self.cities = tables.open_store(environ, base)
        find_city(self.cities, name)
        stored = [city for city in self.cities if city == name or self.store.days_present(TENSORS, city)]
        self.city = _laid_out(ipw.Dropdown(description="city", options=stored, value=name))
        self.target = _laid_out(ipw.Dropdown(description="target"))
        self.day = _laid_out(ipw.DatePicker(description="day", tooltip="Shown day, and first test day of a small fold"))
        self.horizon = _laid_out(ipw.Dropdown(description="horizon"))
        self.hour = _laid_out(ipw.IntSlider(20, max=23, description="from hour", tooltip="First of the next hours"))
        self.tiles = _laid_out(ipw.Text(description="map tiles", placeholder="https://.../{z}/{x}/{y}.png"))
        self.model = _laid_out(ipw.Dropdown(description="model"))
        self.days = _laid_out(ipw.IntText(240, description="days before", tooltip="Days to train and validate on"))
        left = ipw.VBox([self.city, self.target, self.day, self.tiles])
        self.choices = ipw.HBox([left, ipw.VBox([self.horizon, self.hour, self.model])])
        self.alerts = ipw.Output()
        self.forecast = ipw.Output()
        self.trained = ipw.Output()
        self.settings = ipw.VBox()
        self.progress = ipw.Label()
        button = ipw.Button(description="Train", button_style="primary")
        self.training = ipw.VBox([self.days, self.settings, ipw.HBox([button, self.progress]), self.trained])
        follows = {
            self._offer_city: (self.city,),
            self._offer_models: (self.horizon,),
            self._offer_settings: (self.model,),
            self.show_alerts: (self.target, self.tiles),
            self.show_forecast: (self.target, self.day, self.horizon, self.hour, self.model),
        }
        for follow, widgets in follows.items():
            for widget in widgets:
                widget.observe(lambda _, follow=follow: follow(), "value")
        button.on_click(lambda _: self.train())
        self._offer_city()

    @property
    def chosen(self) -> City:
        """The chosen city, with the chosen target alone."""
        return self.cities[self.city.value].model_copy(update={"targets": dict([self.target.value])})

    def _offer_city(self) -> None:
        """Offer the targets, horizons and stored days of the chosen city, and show its first target's newest days."""
        city = self.cities[self.city.value]
        first, last = tables.stored_days(self.store, city)
        self.day.value = None  # nothing is drawn before all choices are those of the city
        types = [name for code, name in city.type_names.items() if code != UNKNOWN_TYPE_CODE]
        offered = city.targets | {name: (name,) for name in types if name not in city.targets}
        self.target.options = {name: (name, events) for name, events in offered.items()}
        self.target.value = city.target, city.targets[city.target]
        self.tiles.value = "" if city.base_map is None else city.base_map.tiles
        hours = () if city.time_precision == "day" else HORIZONS
        self.horizon.options = {"next day": 0, **{f"next {number} h": number for number in hours}}
        self.horizon.value = 0
        self._offer_models()
        self.day.min = first
        self.day.max = last
        self.day.value = max(last - timedelta(days=TEST_DAYS - 1), first)
        self.show_alerts()

    def _offer_models(self) -> None:
        hours = bool(self.horizon.value)
        self.model.options = registry.NEXT_HOURS if hours else registry.NEXT_DAY
        self.model.value = registry.NEXT_HOURS[0] if hours else registry.candidate_of(self.chosen)
        self._offer_settings()

    def _offer_settings(self) -> None:
        settings = registry.city_settings(self.chosen, self.model.value)
        fields = type(settings).model_fields
        self.settings.children = [setting_widget(name, fields[name], value) for name, value in settings]

    def changes(self) -> dict[str, Any]:
        """Return the settings of the model that differ from the city's."""
        before = registry.city_settings(self.chosen, self.model.value).model_dump(mode="json")
        given = {
            widget.description: yaml.safe_load(widget.value) if isinstance(widget, ipw.Text) else widget.value
            for widget in self.settings.children
        }
        return {name: value for name, value in given.items() if value != before[name]}

    def show_alerts(self) -> None:
        """Draw the stored alerts of the target as points, and by type and cell."""
        if self.day.value is not None:
            _show(self.alerts, self._alert_views)

    def show_forecast(self) -> None:
        """Score the stored fold that tested the day, and draw the day's forecast beside its alerts."""
        if self.day.value is not None:
            _show(self.forecast, self._stored_views)

    def train(self) -> None:
        """Train a small fold whose first test day is the chosen one, and show its scores and forecast."""

        def show(report: Report) -> None:
            self.progress.value = str(report)  # empty once the training has ended

        listeners.append(show)
        try:
            _show(self.trained, self._trained_views)
        finally:
            listeners.remove(show)

    def _alert_views(self) -> Iterator[Any]:
        city = self.chosen
        alerts = tables.stored_alerts(self.store, city)
        yield figures.alerts_map(city, alerts, self.tiles.value.strip())
        yield figures.alerts_by_type(city, alerts)

    def _stored_views(self) -> Iterator[Any]:
        city = self.cities[self.city.value]
        target, _ = self.target.value
        if target not in city.targets:
            raise ValueError(
                f"Stored folds of {city.name} are of {', '.join(city.targets)}; train a small fold for another target."
            )
        yield from self._views(tables.fold_forecasts(self.store, self.chosen, self.day.value, self.horizon.value))

    def _trained_views(self) -> Iterator[Any]:
        """Train a small fold that begins on the chosen day and yield its views; raise ValueError without a day."""
        if self.day.value is None:
            raise ValueError("Choose a day: it is the first test day.")
        _, last = tables.stored_days(self.store, self.chosen)
        horizon = self.horizon.value
        _, _, table = train_small_fold(
            self.store,
            self.chosen,
            self.day.value,
            self.days.value,
            min(TEST_DAYS, (last - self.day.value).days + 1),
            # Each fold trains all forecasters of hours, so the cheapest daily model is enough.
            model=registry.HISTORICAL_MEAN if horizon else self.model.value,
            horizon=horizon,
            changes={} if horizon else self.changes(),
        )
        yield from self._views(table)

    def _views(self, table: pa.Table) -> Iterator[Any]:
        yield figures.scores(table)
        alerts = tables.stored_alerts(self.store, self.chosen)
        yield figures.forecast_beside_observed(
            self.chosen, table, self.model.value, self.day.value, alerts, self.hour.value
        )


def _show(output: ipw.Output, views: Callable[[], Iterator[Any]]) -> None:
    """Show figures and tables in an output; an error is shown after the views made before it."""
    outputs: list[dict[str, Any]] = []
    try:
        for view in views():
            if isinstance(view, go.Figure):
                outputs.append({FIGURE: json.loads(view.to_json())})
            else:  # names with spaces may break into lines
                spaced = view.rename(columns=lambda name: name.replace("_", " "))
                outputs.append({"text/html": spaced.to_html(float_format="{:.4f}".format)})
    except (ValueError, StoreError, yaml.YAMLError) as error:
        outputs.append({"text/plain": str(error)})
    output.outputs = tuple({"output_type": "display_data", "data": data, "metadata": {}} for data in outputs)
