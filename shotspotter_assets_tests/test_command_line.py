import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from click.testing import CliRunner
from rich.console import Console

from shotspotter_assets.__main__ import main
from shotspotter_assets.automation.under_way import RunUnderWay
from shotspotter_assets.city_files import load_cities
from shotspotter_assets.commands.status import status_tables, status_text
from shotspotter_assets.defs.requested_runs import CODE_SERVER_TAG, PROCESS_TAG, fail_lost_runs, runs_under_way
from shotspotter_assets.settings import CHECKOUT, INSTANCE, prepare_home
from shotspotter_assets.storage.catalogue import ALERTS
from shotspotter_assets_tests.automation.living_city import LivingCity, noon, row
from shotspotter_assets_tests.cities.test_city_files import write
from shotspotter_assets_tests.conftest import TEST_CITIES
from shotspotter_assets_tests.installation import MAX_STOP_SECONDS
from shotspotter_assets_tests.ports import free_port
from shotspotter_assets_tests.waiting import wait_until


def test_the_documentation_lists_every_command() -> None:
    page = (CHECKOUT / "docs" / "how-to" / "command_line.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", page, re.MULTILINE))
    assert rows == {name: command.help for name, command in main.commands.items()}


def test_an_error_of_the_package_is_one_line(tmp_path: Path) -> None:
    environ = {"SHOTSPOTTER_CITIES": str(TEST_CITIES), "DAGSTER_HOME": str(tmp_path)}
    ran = CliRunner().invoke(main, ["status", "atlantis"], env=environ)
    assert ran.exit_code == 1
    assert ran.output.startswith("Error: No city 'atlantis'; the city files describe: ")
    assert ran.output.count("\n") == 1


def test_a_fold_of_a_forecaster_of_hours_or_before_the_start_is_refused(tmp_path: Path) -> None:
    environ = {"SHOTSPOTTER_CITIES": str(TEST_CITIES), "SHOTSPOTTER_STORE": str(tmp_path)}
    today = datetime.now(UTC).date()
    wrong = {
        "no next-day": ["2023-03-01", "--model", "next_hours"],
        "must be later": ["1999-01-01"],
        "2030-01-01 to 2030-01-28, are not over": ["2030-01-01"],
        "are not over": [str(today - timedelta(days=3))],
    }
    for words, arguments in wrong.items():
        ran = CliRunner().invoke(main, ["fold", "tiny_city", *arguments], env=environ)
        assert (ran.exit_code, words in ran.output, "Materialize" in ran.output) == (1, True, False)


WRONG = {
    "missing argument": (
        2,
        "Missing argument 'CITY'.",
        [[name] for name in ("run", "quiet", "accept", "approve", "fold", "layers", "verify")],
    ),
    "unknown city": (
        1,
        "No city 'atlantis'; the city files describe: ",
        [[name, "atlantis"] for name in ("run", "status", "approve", "verify")]
        + [["annual-report", "atlantis", "2024"], ["layers", "atlantis", "--roads", "gone.zip"]]
        + [[name, "atlantis", "2024-01-01"] for name in ("quiet", "accept", "fold")],
    ),
    "malformed day": (
        2,
        "'2024-13-01' is no day; write it as YYYY-MM-DD.",
        [[name, "tiny_city", "2024-13-01"] for name in ("quiet", "accept", "fold")]
        + [["verify", "tiny_city", "--remake", "2024-13-01"]],
    ),
    "reversed days": (
        1,
        "City tiny_city: the last day (2024-01-01) is before the first (2024-01-02).",
        [[name, "tiny_city", "2024-01-02", "2024-01-01"] for name in ("quiet", "accept")],
    ),
    "day before the start": (
        1,
        "City tiny_city: 1999-01-01 is before the city's first day, 2023-07-01.",
        [[name, "tiny_city", "1999-01-01"] for name in ("quiet", "accept")],
    ),
    "day to come": (
        1,
        "City tiny_city: 2090-01-01 is not over yet; the last day that is over is ",
        [[name, "tiny_city", "2090-01-01"] for name in ("quiet", "accept")],
    ),
    "no word": (
        1,
        " of 2024-01-01, so nothing was withdrawn.",
        [[name, "tiny_city", "2024-01-01", "--undo"] for name in ("quiet", "accept")],
    ),
    "nothing to accept": (1, "so nothing was written. ", [["accept", "tiny_city", "2024-01-01"]]),
    "other year": (1, "City tiny_city: there is no year 2031; ", [["annual-report", "tiny_city", "2031"]]),
    "a file for a folder": (1, "README.md is a file; ", [["check-cities", str(CHECKOUT / "README.md")]]),
    "no folder": (1, "/gone does not exist; ", [["check-cities", "/gone"]]),
    "nothing waits": (
        1,
        "City tiny_city: no models wait for approval.",
        [["approve", "tiny_city", "--by", "A. Smith"]],
    ),
    "no pages": (1, "There are no pages at ", [["pages"]]),
    "no layers asked for": (2, "Give --roads, or --figures with --shapes, or all three.", [["layers", "tiny_city"]]),
    "roads that are missing": (
        1,
        "--roads: gone.zip does not exist.",
        [["layers", "tiny_city", "--roads", "gone.zip"]],
    ),
    "unknown demonstration": (2, "'atlantis' is not one of 'washington_dc_2018', ", [["demo", "atlantis"]]),
    "too many arguments": (2, "Got unexpected extra argument (x)", [["views", "x"]]),
    "no seals": (1, "no day is sealed yet, and no forecast is stored.", [["verify", "tiny_city"]]),
}
CALLS = [(words, arguments) for words, (_, _, calls) in WRONG.items() for arguments in calls]


@pytest.mark.parametrize(("words", "arguments"), CALLS, ids=[f"{words}: {args[0]}" for words, args in CALLS])
def test_a_wrong_call_gets_a_sentence_and_a_code_and_writes_nothing(
    words: str, arguments: list[str], tmp_path: Path
) -> None:
    folders = {name: str(tmp_path / name) for name in ("SHOTSPOTTER_STORE", "SHOTSPOTTER_LANDING", "DAGSTER_HOME")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "")  # `run` sets it
        ran = CliRunner().invoke(main, arguments, env=folders | {"SHOTSPOTTER_CITIES": str(TEST_CITIES)})
    code, sentence, _ = WRONG[words]
    assert (ran.exit_code, sentence in ran.output) == (code, True), ran.output
    assert len([line for line in ran.output.splitlines() if line.startswith("Error: ")]) == 1
    assert not (tmp_path / "SHOTSPOTTER_STORE").exists()
    assert not (tmp_path / "SHOTSPOTTER_LANDING").exists()


UNUSABLE = {
    "SHOTSPOTTER_STORE": (
        "Cannot use the store ",
        [
            ["status", "tiny_city"], ["run", "tiny_city"], ["verify", "tiny_city"], ["approve", "tiny_city"],
            ["quiet", "tiny_city", "2024-01-02"], ["fold", "tiny_city", "2024-01-02"], ["views"], ["pages"],
            ["annual-report", "tiny_city", "2024"], ["demo", "simulated_city", "--days-only"],
        ],
    ),
    "SHOTSPOTTER_LANDING": ("Not a directory: ", [["quiet", "landing_city", "2024-05-02"]]),
    "DAGSTER_HOME": ("Not a directory: ", [["run", "tiny_city"], ["demo", "simulated_city"], ["ui"]]),
}  # fmt: skip
UNUSABLE_CALLS = [(variable, arguments) for variable, (_, calls) in UNUSABLE.items() for arguments in calls]


@pytest.mark.parametrize(("variable", "arguments"), UNUSABLE_CALLS)
def test_a_folder_that_cannot_be_used_is_one_line(variable: str, arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file where a folder is needed")
    names = ("SHOTSPOTTER_STORE", "SHOTSPOTTER_LANDING", "DAGSTER_HOME")
    folders = {name: str(tmp_path / ("file" if name == variable else "") / name) for name in names}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "")  # `run` sets it
        ran = CliRunner().invoke(main, arguments, env=folders | {"SHOTSPOTTER_CITIES": str(TEST_CITIES)})
    [line] = [line for line in ran.output.splitlines() if line.startswith("Error: ")]
    assert ran.exit_code == 1
    assert UNUSABLE[variable][0] in line
    assert folders[variable] in line
    assert "Traceback" not in ran.output


def test_help_names_the_form_of_days() -> None:
    for name in ("quiet", "accept", "fold"):
        assert "YYYY-MM-DD" in CliRunner().invoke(main, [name, "--help"]).output


def test_status_writes_nothing_to_the_store(tmp_path: Path) -> None:
    start = date(2024, 1, 1)
    city = LivingCity(tmp_path, start, noon(start + timedelta(days=5)))
    city.land("days.csv", *(row(start + timedelta(days=at), at) for at in range(5)))

    def status() -> str:
        with city.clock():
            return CliRunner().invoke(main, ["status", "town"], env=city.environment()).output

    def files() -> dict[Path, tuple[int, bytes]]:
        paths = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}

    assert "days.csv" in status()
    assert not files()
    city.settle(days_only=True)
    before = files()
    city.land("more.csv", row(start, 7))
    assert "more.csv" in status()
    assert files() == before


NEW_TERMINAL = """
cd {folder} && unset SHOTSPOTTER_CITIES SHOTSPOTTER_STORE SHOTSPOTTER_LANDING DAGSTER_HOME
export PYTHONPATH={folder}/site
{python} -m shotspotter_assets status {city}
"""


@pytest.mark.parametrize(("city", "code"), [("tiny_city", 0), ("washington_dc_2018", 1)])
def test_an_installed_program_finds_the_cities_beside_it(city: str, code: int, tmp_path: Path) -> None:
    shutil.copytree(CHECKOUT / "shotspotter_assets", tmp_path / "site" / "shotspotter_assets")
    (tmp_path / "cities").mkdir()
    shutil.copy(TEST_CITIES / "tiny_city.yaml", tmp_path / "cities")
    script = NEW_TERMINAL.format(folder=tmp_path, python=sys.executable, city=city)
    ran = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == code, ran.stderr
    said = (
        "tiny_city\n  newest known day  none"
        if code == 0
        else "describe: tiny_city. City files are those of the folder"
    )
    assert said in ran.stdout + ran.stderr


def test_a_taken_port_is_named_with_a_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ran = CliRunner().invoke(main, ["ui", "--port", str(port)])
    assert (ran.exit_code, f"--port {port + 1}" in ran.output) == (1, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_ui_leaves_no_process_and_no_started_run(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {**os.environ, "SHOTSPOTTER_STORE": str(tmp_path / "store"), "SHOTSPOTTER_CITIES": str(TEST_CITIES)}
    home = prepare_home({"DAGSTER_HOME": str(tmp_path / "home")})
    environ["DAGSTER_HOME"] = str(home)
    # A script starts background commands without SIGINT.
    command = f"{sys.executable} -m shotspotter_assets ui --port {free_port()} > out 2>&1 & echo $!"
    ran = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environ, capture_output=True, check=True)
    ui = psutil.Process(int(ran.stdout))

    def processes() -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                is_alive = process.status() != psutil.STATUS_ZOMBIE
                found += [process] * (is_alive and process.environ().get("DAGSTER_HOME") == str(home))
        return found

    def sockets() -> list[str]:
        lines = [process.cmdline() for process in processes()]
        return [line[line.index("--socket") + 1] for line in lines if "--socket" in line]

    try:
        wait_until(lambda: any(Path(socket).exists() for socket in sockets()), 300)
        wait_until(lambda: any("dagster._daemon" in process.cmdline() for process in processes()), 300)
        address = json.dumps({"host": "localhost", "socket": next(filter(os.path.exists, sockets()))})
        monkeypatch.setenv("DAGSTER_HOME", str(home))
        with dg.DagsterInstance.get() as instance:
            tags = {CODE_SERVER_TAG: address}
            run = instance.create_run_for_job(JOB, tags=tags, status=dg.DagsterRunStatus.STARTED)
            ui.send_signal(number)
            assert psutil.wait_procs([ui], MAX_STOP_SECONDS)[1] == []
            assert not processes()
            assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE
    finally:
        for process in processes():
            process.kill()


def test_a_new_home_has_the_limits_of_the_package_and_an_own_file_stays(tmp_path: Path) -> None:
    home = prepare_home({"DAGSTER_HOME": str(tmp_path / "home")})
    assert (home / "dagster.yaml").read_text() == INSTANCE.read_text()
    assert (CHECKOUT / ".dagster_home" / "dagster.yaml").resolve() == INSTANCE
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}")
    assert (prepare_home({"DAGSTER_HOME": str(home)}) / "dagster.yaml").read_text() == "telemetry: {enabled: false}"


def test_status_names_known_due_and_held_back_days(tmp_path: Path) -> None:
    start = date(2024, 1, 1)
    city = LivingCity(tmp_path, start, noon(start + timedelta(days=5)))

    def status() -> str:
        with city.clock():
            return CliRunner().invoke(main, ["status"], env=city.environment()).output

    assert "newest known day  none" in status()
    days = [start + timedelta(days=at) for at in range(5)]
    rows = [row(day, number) for day in days for number in range(4)]
    without_latitude = [re.sub(r",38\.\d,", ",,", one) if str(days[2]) in one else one for one in rows]
    city.land("days.csv", *without_latitude)
    due = next(line for line in status().splitlines() if "raw_alerts" in line)
    assert all(text in due for text in (str(start), str(days[4]), "days.csv", "is new"))
    city.settle(days_only=True)
    shown = status()
    assert f"newest known day  {days[4]}" in shown
    assert f"held back         {days[2]}: " in shown
    assert "serves            nothing yet" in shown
    assert "no forecast       " in shown
    with city.clock():
        facts = json.loads(CliRunner().invoke(main, ["status", "--json"], env=city.environment()).output)
    assert status_text(facts) == shown.rstrip("\n")
    assert facts["town"]["serves"] == ["nothing yet"]


def test_a_terminal_shows_the_state_as_a_table_with_the_same_words() -> None:
    facts = {"town": {"alerts": ["Alerts up to 5 January 2024."], "held back": [f"2024-01-03: {'rows ' * 20}", "[no]"]}}
    console = Console(width=60, force_terminal=True)
    with console.capture() as captured:
        console.print(*status_tables(facts), sep="\n")
    lines = [line.strip(" │") for line in re.sub(r"\x1b\[[\d;]*m", "", captured.get()).splitlines()]
    assert lines[0] == "town"
    assert max(map(len, captured.get().splitlines())) < 90
    words = " ".join(" ".join(line.replace("│", " ").split()) for line in lines)
    assert f"held back 2024-01-03: {'rows ' * 20}" in words.replace("  ", " ")
    assert "[no]" in words


JOB = dg.JobDefinition(name="job", graph_def=dg.GraphDefinition(name="job"))


def test_a_started_run_fails_when_its_code_server_no_longer_listens(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance, socket.create_server(("127.0.0.1", 0)) as server:
        addresses = {
            "lost": {"host": "127.0.0.1", "port": free_port()},
            "lost_socket": {"host": "localhost", "socket": str(tmp_path / "gone")},
            "alive": {"host": "127.0.0.1", "port": server.getsockname()[1]},
        }

        def started(**tags: str) -> str:
            return instance.create_run_for_job(JOB, tags=tags, status=dg.DagsterRunStatus.STARTED).run_id

        runs = {name: started(**{CODE_SERVER_TAG: json.dumps(address)}) for name, address in addresses.items()}
        by_hand = started()
        elsewhere = started(**{PROCESS_TAG: json.dumps({**addresses["lost"], "machine": "another.example"})})
        assert set(fail_lost_runs(instance)) == {runs["lost"], runs["lost_socket"]}
        status = {run.run_id: run.status for run in instance.get_runs()}
        assert status[runs["alive"]] is status[by_hand] is status[elsewhere] is dg.DagsterRunStatus.STARTED
        assert status[runs["lost"]] is dg.DagsterRunStatus.FAILURE
        assert fail_lost_runs(instance) == []


LAUNCH = """
from shotspotter_assets.defs.partitions import range_tags
from shotspotter_assets.commands.runs import Launch, run_launch
from shotspotter_assets.storage.catalogue import ALERTS
from datetime import date
run_launch(Launch("days", "tiny_city", ALERTS, range_tags(date(2023, 7, 1), date(2025, 6, 30))))
"""


@pytest.mark.slow
def test_the_daemon_finds_the_run_of_a_command_until_its_process_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = prepare_home({"DAGSTER_HOME": str(tmp_path / "home")})
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    environ = {"SHOTSPOTTER_CITIES": str(TEST_CITIES), "SHOTSPOTTER_STORE": str(tmp_path / "store")}
    city = load_cities(TEST_CITIES)["tiny_city"]
    days = (date(2023, 7, 1), date(2025, 6, 30))
    command = [sys.executable, "-c", LAUNCH]
    environ = os.environ | environ
    with subprocess.Popen(command, env=environ) as process, dg.DagsterInstance.get() as instance:
        wait_until((tmp_path / "store").exists, 120)
        assert runs_under_way(instance, city) == [RunUnderWay(frozenset(ALERTS), days)]
        assert fail_lost_runs(instance) == []
        process.kill()
        process.wait()
        assert runs_under_way(instance, city) == []
        assert len(fail_lost_runs(instance)) == 1


def check(folder: Path) -> tuple[str, list[str]]:
    """Return the line about usable cities, and the problems."""
    ran = CliRunner().invoke(main, ["check-cities", str(folder)])
    lines = ran.stderr.splitlines()
    assert ran.exit_code == (0 if all(line.startswith("Warning: ") for line in lines) else 1)
    return ran.stdout, lines


def test_a_layer_that_pages_leave_out_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "wards.geojson").write_text("{")
    write(tmp_path, layers={"districts": {"path": "wards.geojson", "name": "ward"}})
    usable, [warning] = check(tmp_path)
    assert usable == f"{tmp_path}: 1 city file can be used: washington_dc (landed files).\n"
    assert warning.startswith("Warning: City washington_dc, layers.districts: wards.geojson cannot be read: ")


def test_each_wrong_file_has_a_line(tmp_path: Path) -> None:
    write(tmp_path, name="good").rename(tmp_path / "good.yaml")
    usable = f"{tmp_path}: 1 city file can be used: good (landed files).\n"
    assert check(tmp_path) == (usable, [])
    write(tmp_path, start="01/01/2016", box=3)
    (tmp_path / "broken.yaml").write_text("- a")
    shown, [broken, washington] = check(tmp_path)
    assert shown == usable
    assert "broken.yaml: expected keys and values" in broken
    assert "box: " in washington
    assert "start: write the date as YYYY-MM-DD" in washington


STREETS = {"path": "streets.gpkg", "name": "name"}
LIQUOR = {"kind": "points", "path": "places.csv", "known_from": date(2013, 6, 25)}
ACKNOWLEDGED = {"check": "points2", "first": "2020-01-01", "by": "A. Smith", "on": "2020-02-01"}
NO_CHECK = "washington_dc.yaml: acknowledged: there is no check 'points2' (allowed: share_rejected, "


@pytest.mark.parametrize(
    ("changes", "file", "says"),
    [
        ({"serves": "x"}, "", ["washington_dc.yaml: ", "serves"]),
        ({"acknowledged": [ACKNOWLEDGED]}, "", [NO_CHECK, ", clock)"]),
        ({"streets": STREETS}, "no", ["City washington_dc, streets: ", "gpkg cannot be read"]),
        ({"factors": {"liquor": LIQUOR}}, "longitude,latitude\n38.9,-77.0\n", [", factors.liquor: ", "has nothing in"]),
    ],
)
def test_city_files_are_checked(changes: dict[str, Any], file: str, says: list[str], tmp_path: Path) -> None:
    for name in ("streets.gpkg", "places.csv"):
        (tmp_path / name).write_text(file)
    write(tmp_path, **changes)
    [problem] = check(tmp_path)[1]
    assert all(part in problem for part in says)
