"""The command `new-city`: questions, files and next steps."""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import click

from shotspotter_assets.cities.city import NAME_PATTERN
from shotspotter_assets.new_city.city_text import CityText, describe_city
from shotspotter_assets.new_city.columns import Question
from shotspotter_assets.new_city.reading import Alerts, NewCityError, read_alerts
from shotspotter_assets.settings import BASE_FOLDER

CITIES: Final = "SHOTSPOTTER_CITIES"


def make_city(name: str | None, path: Path | None, answers: Mapping[str, str]) -> Iterator[str]:
    """Write the file of a city and copy its alerts to the landing folder; yield what was found and the next steps.

    Raises NewCityError without a usable city or, without a terminal, for an answer that is missing; nothing is written then.
    """
    name = name or _ask(Question("NAME FILE", "What is the city's name, in small letters, such as springfield_ma?"))
    if not re.fullmatch(NAME_PATTERN, name):
        raise NewCityError(
            f"{name!r} is no name of a city: use small letters, digits and underscores (springfield_ma)."
        )
    folder = Path(os.environ.get(CITIES) or BASE_FOLDER / "cities").absolute()
    landing = Path(os.environ.get("SHOTSPOTTER_LANDING") or BASE_FOLDER / "landing").absolute() / name
    city_file = folder / f"{name}.yaml"
    alerts = read_alerts(path or Path(_ask(Question("FILE", "Which file or folder has the city's alerts?"))))
    copies = {file: landing / file.name for file in alerts.files if landing not in file.absolute().parents}
    if there := [str(file) for file in (city_file, *copies.values()) if file.exists()]:
        raise NewCityError(f"{there[0]} exists already; choose another name, or remove it first.")
    found = _described(name, alerts, answers)
    for file, copy in copies.items():
        landing.mkdir(parents=True, exist_ok=True)
        unfinished = copy.with_name(f"{copy.name}.part")
        shutil.copy2(file, unfinished)
        unfinished.rename(copy)
    folder.mkdir(parents=True, exist_ok=True)
    with city_file.open("x") as written:
        written.write(found.text)
    yield from found.lines
    yield f"\n{city_file} is written, and the alerts are in {landing}. Read the file, then:\n"
    if os.environ.get(CITIES) is None:
        yield f"export {CITIES}={folder}"
    yield "shotspotter check-cities"
    yield f"shotspotter run {name}    # days, models, forecast, plan and pages; minutes"
    yield "shotspotter pages"
    yield f"shotspotter ui    # builds whatever lands in {landing}"


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
