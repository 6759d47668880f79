"""The command line: `shotspotter --help`, or `python -m shotspotter_assets --help`."""

import json
import os
import signal
import socket
import subprocess
import sys
import webbrowser
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shotspotter_assets.storage.wording import first_of, number_of

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from shotspotter_assets.alerts.days.day_words import Word


INTERRUPTED = 130  # exit code of a command that SIGINT has ended
STOP_SECONDS = 3  # time in which the UI ends in order before what is left of it is killed
_PATH = click.Path(path_type=Path)


class _Day(click.ParamType):
    """A day as YYYY-MM-DD."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Return the day; fail with the form that it should have."""
        try:
            return datetime.strptime(value, "%Y-%m-%d").date()
        except ValueError:
            self.fail(f"{value!r} is no day; write it as YYYY-MM-DD.", param, ctx)


_DAY = _Day()
_DAYS = "Days are written as YYYY-MM-DD."


class _Command(click.Command):
    """Command that shows its progress, and prints this package's errors, and those of files, as one line."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command; turn such errors into one-line errors, and an interrupt into what is stored."""
        from shotspotter_assets.commands.progress import shown_progress

        try:
            with shown_progress():
                return super().invoke(context)
        except KeyboardInterrupt:
            click.echo(f"Interrupted. {_stored(context.params.get('city'))}", err=True)
            context.exit(INTERRUPTED)
        except Exception as error:
            is_of_a_file = isinstance(error, OSError) and error.filename is not None
            if is_of_a_file or type(error).__module__.startswith("shotspotter_assets."):
                raise click.ClickException(str(error)) from error
            raise


class _Commands(click.Group):
    command_class = _Command


def _stored(name: str | None) -> str:
    """Return the stored partitions of a city of an interrupted command, in words."""
    from shotspotter_assets.automation.stored import Stored
    from shotspotter_assets.city_files import find_city
    from shotspotter_assets.commands.progress import stored_text
    from shotspotter_assets.defs.resources import StoreResource
    from shotspotter_assets.settings import Settings

    settings = Settings.from_environment(os.environ)
    if name is None or name not in settings.cities:
        return ""
    stored = Stored.read(StoreResource(root=settings.store_root).open(), find_city(settings.cities, name))
    return f"{stored_text(stored)} The same command goes on there."


@click.group(cls=_Commands)
def main() -> None:
    """Forecasts of gunfire from a city's alerts."""


@main.command()
@click.argument("city", default="washington_dc_2018", type=click.Choice(["washington_dc_2018", "simulated_city"]))
@click.option("--days-only", is_flag=True, help="Build only alerts and grids, in seconds.")
def demo(city: str, *, days_only: bool) -> None:
    """Run the packaged alerts of Washington DC, or the simulated city, and print its scores."""
    from shotspotter_assets.commands.demo import run_demo

    run_demo(city, days_only=days_only)


@main.command("check-cities")
@click.argument("folder", required=False, type=_PATH)
def check_cities(folder: Path | None) -> None:
    """Check the city files in use, or those of FOLDER."""
    from shotspotter_assets.forecasts.street_segments import read_segments
    from shotspotter_assets.grid.city_factors import CityFactors
    from shotspotter_assets.grid.shapes import read_areas
    from shotspotter_assets.pages.places import read_layers, uncovered
    from shotspotter_assets.settings import checked_cities, cities_folder

    folder = folder or cities_folder(os.environ)
    cities = checked_cities(folder, os.environ)
    problems = list(cities.unusable.values())
    warnings: list[str] = []
    usable: list[str] = []
    for name, city in cities.items():
        if name in cities.unusable:
            continue
        try:
            CityFactors.read(city)
            if city.streets is not None:
                read_segments(city)
            if (coverage := city.coverage) is not None:
                read_areas(coverage.file, coverage.name_property, coverage.areas)
            layers, unusable = read_layers(city)
            warnings += [*unusable, *uncovered(city, layers)]
        except ValueError as error:
            problems.append(str(error))
        else:
            usable.append(f"{name} ({city.service})")
    click.echo(f"{folder}: {number_of(len(usable), 'city file')} can be used: {', '.join(usable) or 'none'}.")
    for line in [*problems, *(f"Warning: {warning}" for warning in warnings)]:
        click.echo(line, err=True)
    if problems:
        sys.exit(1)


@main.command("new-city")
@click.argument("name", required=False)
@click.argument("file", required=False, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--column", "columns", multiple=True, metavar="OURS=THEIRS", help="Column of time, longitude...; repeatable."
)
@click.option("--time-zone", help="Time zone of the city (IANA).")
@click.option("--times", type=click.Choice(["local", "utc", "stamped"]), help="The city's clock, UTC, or as stamped.")
@click.option("--dates", type=click.Choice(["month-first", "day-first"]), help="Order of dates such as 03/04/2026.")
@click.option("--crs", help="System of points that are not degrees, such as EPSG:2248.")
def new_city(name: str | None, file: Path | None, columns: tuple[str, ...], **answers: str | None) -> None:
    """Write the file of a new city NAME from a FILE or folder of its alerts, and print the next steps."""
    from shotspotter_assets.commands.new_city import make_city

    pairs = {f"--column {ours}=": theirs for ours, _, theirs in (column.partition("=") for column in columns)}
    stated = {f"--{option.replace('_', '-')}": answer for option, answer in answers.items() if answer}
    for line in make_city(name, file, pairs | stated):
        click.echo(line)


@main.command()
@click.option("--print", "print_only", is_flag=True, help="Only print the address.")
def pages(*, print_only: bool) -> None:
    """Print the address of the pages, and open them."""
    from shotspotter_assets.defs.resources import StoreResource
    from shotspotter_assets.settings import Settings
    from shotspotter_assets.storage.catalogue import INDEX
    from shotspotter_assets.storage.stored_file import ALL_CITIES

    settings = Settings.from_environment(os.environ)
    store = StoreResource(root=settings.store_root).open()
    file = store.uri(INDEX, ALL_CITIES)
    if not store.exists(INDEX, ALL_CITIES):
        raise click.ClickException(f"There are no pages at {file}. `shotspotter run CITY` builds those of a city.")
    address = f"{settings.pages_url.rstrip('/')}/city={ALL_CITIES}/{INDEX.file}" if settings.pages_url else file
    click.echo(address)
    if not print_only and not address.startswith("s3://"):
        webbrowser.open(address if settings.pages_url else Path(address).as_uri())


@main.command()
@click.argument("city", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print lines by city and title as JSON.")
def status(city: str | None, *, as_json: bool) -> None:
    """Print known days, due runs and serving models of cities."""
    from rich.console import Console

    from shotspotter_assets.commands.status import status_facts, status_tables, status_text
    from shotspotter_assets.settings import Settings

    settings = Settings.from_environment(os.environ)
    with _instance() as instance:
        facts = status_facts(settings, city, instance)
    if as_json:
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    elif (console := Console()).is_terminal:
        console.print(*status_tables(facts), sep="\n")
    else:
        click.echo(status_text(facts))


@main.command()
@click.argument("city")
@click.option("--head", default="", help="A seal that a page or a mail showed: NUMBER:HASH, or the hash alone.")
@click.option("--remake", type=_DAY, metavar="DAY", help="Forecast DAY again from the stored models, and compare.")
def verify(city: str, head: str, remake: date | None) -> None:
    """Check that the stored forecasts of CITY are those that were sealed when their days began."""
    from shotspotter_assets.cities import local_time
    from shotspotter_assets.city_files import find_city
    from shotspotter_assets.commands.explore.tables import open_store
    from shotspotter_assets.forecasts import verification

    store, cities = open_store(base=Path.cwd())
    verified = find_city(cities, city)
    try:
        click.echo(verification.verify(store, verified, local_time.now(), head))
        if remake is not None:
            click.echo(verification.remake(store, verified, remake))
    except ValueError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument("city")
def run(city: str) -> None:
    """Run what is due in CITY, except folds, and stop: days, models, forecasts, plans, scores and pages."""
    from shotspotter_assets.commands.runs import run_city

    try:
        run_city(city)
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def _add_command(word: "Word", description: str, undo_description: str) -> None:
    """Add the command that writes or withdraws a person's report about one or more days of a city."""

    @main.command(word, help=description, epilog=_DAYS)
    @click.argument("city")
    @click.argument("day", type=_DAY, metavar="DAY")
    @click.argument("last", type=_DAY, metavar="[LAST]", required=False)
    @click.option("--undo", is_flag=True, help=undo_description)
    def state_command(city: str, day: date, last: date | None, *, undo: bool) -> None:
        from shotspotter_assets.commands.statements import state_days
        from shotspotter_assets.settings import Settings

        settings = Settings.from_environment(os.environ)
        try:
            lines = state_days(settings, city, word, day, last or day, is_undone=undo)
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        click.echo("\n".join(lines))


_add_command("quiet", "Report that CITY had no alerts on DAY, or from DAY to LAST.", "Withdraw the report.")
_add_command(
    "accept",
    "Accept the number of alerts of CITY on DAY, or from DAY to LAST, although it is far from usual.",
    "Withdraw the acceptance.",
)


@main.command()
@click.argument("city")
@click.argument("version", default="")
@click.option("--by", "approver", default="", metavar="NAME", help="Approve the models; your name is recorded.")
def approve(city: str, version: str, approver: str) -> None:
    """List the models of CITY that wait for approval; with --by, approve those of VERSION, or the only ones."""
    from shotspotter_assets.commands.statements import approve_models
    from shotspotter_assets.settings import Settings

    try:
        lines = approve_models(Settings.from_environment(os.environ), city, version, approver)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo("\n".join(lines))


@main.command(epilog=_DAYS)
@click.argument("city")
@click.argument("cutoff", type=_DAY, metavar="CUTOFF")
@click.option("--model", default="", help="A next-day forecaster; by default the one that serves.")
@click.option("--days", default=240, type=click.IntRange(1), show_default=True, help="Days before the cutoff.")
@click.option("--test-days", default=28, type=click.IntRange(1), show_default=True, help="Days from the cutoff.")
@click.option("--full", is_flag=True, help="Use all days before the cutoff, and the test window of the city's file.")
def fold(city: str, cutoff: date, model: str, days: int, test_days: int, *, full: bool) -> None:
    """Train on the days before CUTOFF, and print the scores."""
    from shotspotter_assets.city_files import find_city
    from shotspotter_assets.commands.explore.small_fold import fold_text, train_small_fold
    from shotspotter_assets.commands.explore.tables import open_store

    store, cities = open_store(base=Path.cwd())
    try:
        report, scores, _ = train_small_fold(
            store,
            find_city(cities, city),
            cutoff,
            days=None if full else days,
            test_days=None if full else test_days,
            model=model,
        )
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(fold_text(report, scores))


@main.command()
def views() -> None:
    """Print SQL that makes a DuckDB view of each stored table."""
    from shotspotter_assets.defs.resources import StoreResource
    from shotspotter_assets.settings import Settings
    from shotspotter_assets.storage.views import table_views

    store = StoreResource(root=Settings.from_environment(os.environ).store_root).open()
    click.echo(table_views(store, os.environ.get("AWS_ENDPOINT_URL", "")))


@main.command("annual-report")
@click.argument("city")
@click.argument("year", type=click.IntRange(1990, 2099))
def annual_report(city: str, year: int) -> None:
    """Write the annual report of CITY for YEAR, and print its address."""
    from shotspotter_assets.automation.stored import Stored
    from shotspotter_assets.cities import local_time
    from shotspotter_assets.city_files import find_city
    from shotspotter_assets.commands.explore.tables import open_store
    from shotspotter_assets.pages.public import write_annual_report
    from shotspotter_assets.storage.catalogue import ANNUAL_REPORT_PAGE, Asset

    store, cities = open_store(base=Path.cwd())
    reported_city = find_city(cities, city)
    begins = date(year, 1, 1)
    today = local_time.today(reported_city.zone)
    first = reported_city.start.year
    if not first <= year <= today.year:
        raise click.ClickException(f"City {city}: there is no year {year}; its years are {first} to {today.year}.")

    def write(_: date | None) -> str:
        report = write_annual_report(store, reported_city, begins)
        click.echo(f"{city}: {report.first} to {report.last}{', the year is under way' * report.is_under_way}")
        return report.version

    Stored.read(store, reported_city).write(Asset.ANNUAL_REPORTS, [begins], write)
    click.echo(store.uri(ANNUAL_REPORT_PAGE, city, begins))


@main.command()
@click.argument("city")
@click.option("--roads", "roads", multiple=True, type=_PATH, help="TIGER roads of a county; repeatable.")
@click.option("--areas", type=_PATH, help="TIGER areas: places, county subdivisions or tracts.")
@click.option("--figures", type=_PATH, help="Census table, CSV or Parquet, with a row for each area of --shapes.")
@click.option("--shapes", type=_PATH, help="Areas of --figures, such as TIGER tracts.")
@click.option("--key", default="GEOID", show_default=True, help="Column of both; FIGURES=SHAPES if the names differ.")
@click.option("--only", multiple=True, metavar="COLUMN=VALUE", help="Use only these rows of --figures; repeatable.")
@click.option("--to", type=_PATH, help="Folder of the new files; by default beside the city's file, with its name.")
def layers(
    city: str,
    roads: tuple[Path, ...],
    areas: Path | None,
    figures: Path | None,
    shapes: Path | None,
    key: str,
    only: tuple[str, ...],
    to: Path | None,
) -> None:
    """Make files of streets, areas and figures of CITY from census files."""
    from shotspotter_assets.cities.layers import refused_part
    from shotspotter_assets.city_files import find_city
    from shotspotter_assets.grid.shapes import write_shapes
    from shotspotter_assets.grid.tiger import join_figures, tiger_areas, tiger_streets
    from shotspotter_assets.pages.places import uncovered
    from shotspotter_assets.settings import checked_cities, cities_folder

    if not (roads or figures) or bool(figures) != bool(shapes):
        raise click.UsageError("Give --roads, or --figures with --shapes, or all three.")
    cities = cities_folder(os.environ).absolute()
    layered_city = find_city(checked_cities(cities, os.environ), city)
    to = (to or cities / city).absolute()
    in_table, _, in_shapes = key.partition("=")
    name = in_shapes or in_table
    entries = {
        "districts": "layers:\n  districts: {path: PATH, name: name}",
        "streets": "streets: {path: PATH, name: name, only: {mtfcc: [S1200, S1400]}}",
        "audit": f"audit: {{path: PATH, name: {name}, year: YEAR, residents: {{column: COLUMN}}}}",
        "factors": "factors:\n  NAME: {kind: polygons, path: PATH, column: COLUMN, figure: rate, known_from: YYYY-MM-DD}",
    }
    try:
        frames = {"districts": tiger_areas(areas, layered_city.box)} if areas else {}
        if roads:
            frames["streets"] = tiger_streets([*{file.resolve(): file for file in roads}.values()], layered_city.box)
        warnings = uncovered(layered_city, {layer: frame.geometry for layer, frame in frames.items()})
        if figures and shapes:
            joined, left_out = join_figures(figures, shapes, (in_table, name), only, layered_city.box)
            warnings += left_out
            # Race and its proxies are for audits alone.
            frames |= {"audit": joined, "factors": joined[[column for column in joined if not refused_part(column)]]}
        write_shapes(to, frames)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    for layer, frame in frames.items():
        columns = first_of([*map(str, frame.columns.drop(frame.geometry.name))])
        click.echo(f"{to / layer}.parquet: {number_of(len(frame), 'row')} with {columns}")
    click.echo(f"Add to {cities / city}.yaml:")
    for layer in frames:
        path = to.relative_to(cities) / layer if to.is_relative_to(cities) else to / layer
        click.echo(entries[layer].replace("PATH", json.dumps(f"{path}.parquet", ensure_ascii=False)))
    for line in warnings:
        click.echo(f"Warning: {line}", err=True)


@main.command()
@click.option("--port", default=3000, type=click.IntRange(1, 65535), show_default=True, help="Port of the UI.")
def ui(port: int) -> None:
    """Start the Dagster UI, and the daemon that runs automated cities."""
    from shotspotter_assets.settings import INSTANCE, Settings, lineage_address, prepare_home

    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise click.ClickException(
            f"Port {port} is in use; choose another one: shotspotter ui --port {port + 1}"
        ) from error
    os.environ["DAGSTER_HOME"] = str(prepare_home(os.environ).absolute())
    _fail_lost_runs()
    cities = Settings.from_environment(os.environ).cities
    first = "washington_dc_2018" if "washington_dc_2018" in cities else next(iter(cities))
    click.echo(f"The lineage of {first}: {lineage_address(f'http://127.0.0.1:{port}', first)}")
    click.echo(f"The assets of every city: http://127.0.0.1:{port}/assets")
    options = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    command = [
        str(Path(sys.executable).with_name("dg")),
        "dev",
        "--workspace",
        str(INSTANCE.with_name("workspace.yaml")),
    ]
    # Scripts start background commands without SIGINT, which would be inherited.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    # The group holds the UI, the daemon, the code server and the runs, which the code server otherwise waits for.
    server = subprocess.Popen([*command, *options], process_group=0)  # noqa: S603
    with suppress(KeyboardInterrupt):
        server.wait()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    server.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        server.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    _fail_lost_runs()
    sys.exit(max(server.wait(), 0))  # one that was killed has ended as asked


@main.command("lost-runs")
def lost_runs() -> None:
    """Mark runs of an ended code server as failed."""
    _fail_lost_runs()


def _fail_lost_runs() -> None:
    from shotspotter_assets.defs.requested_runs import fail_lost_runs

    with _instance() as instance:
        for run_id in fail_lost_runs(instance):
            click.echo(f"Run {run_id} was lost when its code server ended; it counts as failed and is started again.")


def _instance() -> "DagsterInstance":
    """Return the instance of DAGSTER_HOME; an empty one where that folder does not exist yet."""
    from dagster import DagsterInstance

    from shotspotter_assets.settings import dagster_home

    home = dagster_home(os.environ)
    if not home.is_dir():
        return DagsterInstance.ephemeral()
    os.environ["DAGSTER_HOME"] = str(home)
    return DagsterInstance.get()


if __name__ == "__main__":
    main()
