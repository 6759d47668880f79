"""The command `new-city`: questions, files and next steps."""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from shotspotter_assets.cities.strict_model import NAME_PATTERN
from shotspotter_assets.commands.new_city.city_text import CityText, describe_city
from shotspotter_assets.commands.new_city.columns import Question
from shotspotter_assets.commands.new_city.reading import Alerts, NewCityError, read_alerts
from shotspotter_assets.settings import BASE_FOLDER, OWN_CITIES, cities_folder


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
    for file in () if is_landed else alerts.files:
        copy = Path(landing) / file.relative_to(path if path.is_dir() else path.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy)
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
