"""The command `new-city`: questions, the text of a city file, files and next steps."""

import math
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
import jinja2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from shotspotter_assets.alerts.cleaning import REASONS, USABLE, duplicate_rows, row_reasons
from shotspotter_assets.alerts.sources.raw_rows import BROKEN, LINE, to_raw
from shotspotter_assets.alerts.sources.schema import FIRST_POSSIBLE_DAY
from shotspotter_assets.alerts.sources.tabular_settings import LandingSettings
from shotspotter_assets.alerts.spellings import are_unlisted
from shotspotter_assets.cities import local_time
from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.local_time import ONE_DAY
from shotspotter_assets.cities.strict_model import NAME_PATTERN
from shotspotter_assets.city_files import load_city, schema_comment
from shotspotter_assets.commands.new_city_columns import Alerts, NewCityError, Question, find_columns, read_alerts
from shotspotter_assets.commands.new_city_place_and_time import country_of, find_place, find_times
from shotspotter_assets.forecasts.training import MIN_HISTORY_DAYS
from shotspotter_assets.settings import BASE_FOLDER, OWN_CITIES, cities_folder
from shotspotter_assets.storage.arrays import Days
from shotspotter_assets.storage.progress import steps
from shotspotter_assets.storage.wording import number_of

STRAY_GAP_DAYS: Final = 180  # silence that parts a few stray dates from the city's days
MAX_STRAY_SHARE: Final = 0.001
MAX_STRAY_ROWS: Final = 3
TEMPLATE: Final = Path(__file__).with_name("city_file.yaml.jinja")


class CityText(NamedTuple):
    """The text of a city file, and lines about what was found."""

    text: str
    lines: Sequence[str]


def describe_city(name: str, alerts: Alerts, answers: Mapping[str, str]) -> CityText:
    """Return the file of a city with these alerts; raise Question for an answer that is missing, NewCityError without a city.

    Args:
        name: Name of the city.
        alerts: Rows of the files.
        answers: A person's answers by option, such as `--time-zone` or `--column time=`.
    """
    columns = find_columns(alerts, answers)
    place = find_place(alerts, columns, answers)
    try:
        zone = ZoneInfo(place.zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise NewCityError(
            f"--time-zone: {place.zone!r} is not a time zone. Give its IANA name, such as America/New_York."
        ) from None
    times = find_times(alerts, columns, zone, answers)
    first, last = _span(times.local[place.is_inside & ~np.isnat(times.local)], zone)
    notes = {**place.notes, "start": f"alerts from {first} to {last}", "times": times.note}
    keys: dict[str, Any] = {
        "name": name,
        "time_zone": place.zone,
        "start": first,
        "first_forecast": last,
        "box": place.box.model_dump(),
        "grid": place.grid.model_dump(),
        "time_precision": times.precision,
        "holidays": country_of(place.zone),
        "source": times.keys | ({"crs": answers["--crs"]} if "--crs" in answers else {}),
        "columns": columns,
        "event_types": {},
    }
    if (types := columns.get("gunshot_type")) is None:
        notes["gunshot_type"] = "no column has known gunshot types; every row counts as an alert"
    else:
        spellings = alerts.rows[types].cast(pa.string())
        unlisted = spellings.filter(are_unlisted(spellings, _city(keys, notes, alerts)))
        if events := sorted(pc.unique(unlisted).to_pylist()):
            notes["event_types"] = f"{', '.join(events)}: no gunshots, kept apart and not forecast"
            keys["event_types"] = {"other_event": events}
    if (days := (last - first).days + 1) < MIN_HISTORY_DAYS:
        notes["history"] = f"{number_of(days, 'day')} of {MIN_HISTORY_DAYS}; until then models of other cities serve"
    lines = [*(f"{key}: {note}" for key, note in notes.items()), *_account(alerts, _city(keys, notes, alerts))]
    return CityText(_text(keys, notes, alerts), lines)


def _span(local: Days, zone: ZoneInfo) -> tuple[date, date]:
    """Return the first and last day of a city's alerts, without a few stray dates beyond long silences."""
    days = np.sort(local.astype("datetime64[D]"))
    days = days[(days >= np.datetime64(FIRST_POSSIBLE_DAY)) & (days < np.datetime64(local_time.today(zone)))]
    if not len(days):
        raise NewCityError(
            f"No alert is of a day from {FIRST_POSSIBLE_DAY} to yesterday; correct years, or name another time."
        )
    breaks = np.flatnonzero(np.diff(days).astype(int) > STRAY_GAP_DAYS) + 1
    few = max(MAX_STRAY_SHARE * len(days), MAX_STRAY_ROWS)
    first = max([0, *breaks[breaks <= few]])
    last = min([len(days), *breaks[breaks >= len(days) - few]]) - 1
    return days[first].item(), days[last].item()


def _city(keys: Mapping[str, Any], notes: Mapping[str, str], alerts: Alerts) -> City:
    """Return the city that its file describes."""
    return load_city(Path(f"{keys['name']}.yaml"), _text(keys, notes, alerts))


def _text(keys: Mapping[str, Any], notes: Mapping[str, str], alerts: Alerts) -> str:
    """Return the text of a city file, with comments of a line each whatever the headings of its source hold."""
    template = jinja2.Template(
        TEMPLATE.read_text(), undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    comments = {key: " ".join(note.split()) for key, note in {**notes, "alerts": alerts.title}.items()}

    def flow(value: Any) -> str:
        """Return a value as YAML on one line."""
        text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf, allow_unicode=True)
        return text.removesuffix("...\n").strip()

    return template.render(schema=schema_comment(), keys=keys, notes=comments, flow=flow)


def _account(alerts: Alerts, city: City) -> Iterator[str]:
    """Yield the numbers of usable rows and of others by reason, as the city reads and cleans them."""
    source = city.source
    assert isinstance(source, LandingSettings)
    rows = alerts.rows.select([*source.columns.named().values(), BROKEN, LINE])
    raw = to_raw(
        rows, city.site, source, str(alerts.files[0]), local_time.now(), city.start, (city.start, date.max - ONE_DAY)
    )
    reasons = row_reasons(raw, city)
    is_usable = reasons == USABLE
    repeated = int(duplicate_rows(raw.filter(pa.array(is_usable))).sum())
    yield f"rows: {is_usable.sum():,} of {len(reasons):,} can be used; {repeated:,} of them repeat another one"
    for number in np.unique(reasons[~is_usable]):
        name = list(REASONS)[number]
        first = alerts.place(int((reasons == number).argmax()))
        yield f"{name}: {number_of(int((reasons == number).sum()), 'row')}, the first is {first} ({REASONS[name]})"


def make_city(name: str | None, path: Path | None, answers: Mapping[str, str]) -> Iterator[str]:
    """Write the file of a city and copy its alerts to the landing folder; yield what was found and the next steps.

    Raises NewCityError without a usable city or, without a terminal, for an answer that is missing; nothing is written then.
    """
    name = name or _ask(Question("NAME FILE", "What is the city's name, in small letters, such as springfield_ma?"))
    if not re.fullmatch(NAME_PATTERN, name):
        raise NewCityError(
            f"{name!r} is no name of a city: use small letters, digits and underscores (springfield_ma)."
        )
    folder = cities_folder(os.environ) if os.environ.get("SHOTSPOTTER_CITIES") else OWN_CITIES
    city_file = folder.absolute() / f"{name}.yaml"
    landing = f"{(os.environ.get('SHOTSPOTTER_LANDING') or str(BASE_FOLDER / 'landing')).rstrip('/')}/{name}"
    path = path or Path(_ask(Question("FILE", "Which file or folder has the city's alerts?")))
    alerts = read_alerts(path)
    is_landed = "://" in landing or path.absolute().is_relative_to(Path(landing).absolute())
    if there := [str(place) for place in (city_file, *([] if is_landed else [Path(landing)])) if place.exists()]:
        raise NewCityError(f"{there[0]} exists already; choose another name, or remove it first.")
    found = _described(name, alerts, answers)
    if not is_landed:
        # An interrupted copy is no landing folder, and the next one replaces it.
        part = Path(landing).with_name(f".{name}.part")
        shutil.rmtree(part, ignore_errors=True)
        for file in steps("file", alerts.files, "copying alerts"):
            copy = part / file.relative_to(path if path.is_dir() else path.parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)
        part.rename(landing)
    city_file.parent.mkdir(parents=True, exist_ok=True)
    with city_file.open("x") as written:
        written.write(found.text)
    yield from found.lines
    yield f"\n{city_file} is written. Alerts belong in {landing}{'' if is_landed else ', which has a copy'}. Now:\n"
    yield f"shotspotter check-cities\nshotspotter run {name}    # days, models, forecast and pages; minutes"
    yield f"shotspotter pages\nshotspotter ui    # builds whatever lands in {landing}"


def _described(name: str, alerts: Alerts, answers: Mapping[str, str]) -> CityText:
    """Describe the city, and ask until every question is answered."""
    while True:
        try:
            return describe_city(name, alerts, answers)
        except Question as question:
            answers = {**answers, question.option: _ask(question)}


def _ask(question: Question) -> str:
    if not sys.stdin.isatty():
        choices = f" ({' or '.join(question.choices)})" if question.choices else ""
        raise NewCityError(f"{question} Without a terminal, add {question.option}{choices}.")
    return str(click.prompt(str(question), type=click.Choice(question.choices) if question.choices else str))
