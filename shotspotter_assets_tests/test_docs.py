import ast
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs import changed_keys, tutorial
from docs.make_pictures import OF_BENCHMARKS, PICTURES, Demo, of_demo
from docs.shipped_cities import table
from shotspotter_assets.__main__ import main
from shotspotter_assets.settings import CHECKOUT, Settings
from shotspotter_assets.storage.catalogue import Asset
from shotspotter_assets.storage.store import Store

ROOT_PAGES = ("README", "CONTRIBUTING", "CODE_OF_CONDUCT", "GOVERNANCE", "SECURITY")
PAGES = [CHECKOUT / f"{name}.md" for name in ROOT_PAGES]
PAGES += [page for page in sorted((CHECKOUT / "docs").rglob("*.md")) if "_build" not in page.parts]
SETTINGS = Settings.from_environment({})
MAX_PICTURE_BYTES = 300_000


def targets(text: str) -> set[str]:
    """Relative addresses of links and pictures, without their anchors."""
    found = {address.partition("#")[0] for address in re.findall(r"\]\(([^)\s]+)\)", text)}
    return {address for address in found if address and "://" not in address}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_named_files_exist(page: Path) -> None:
    text = page.read_text()
    missing = {target for target in targets(text) if not (page.parent / target).exists()}
    if not page.name.startswith("new_"):  # these pages name files that the reader adds
        named = re.findall(r"(?<![\w/.:])(?:benchmarks|deploy|shotspotter_assets)/[\w/.]*\w\.[a-z]+", text)
        missing |= {path for path in named if not (CHECKOUT / path).exists()}
    assert missing == set()


@pytest.mark.parametrize("page", ["reliability.md", "how-to/operations.md"])
def test_named_tests_exist(page: str) -> None:
    named = re.findall(r"`([\w/]*test_\w+\.py)`", (CHECKOUT / "docs" / page).read_text())
    assert named
    tests = CHECKOUT / "shotspotter_assets_tests"
    assert [path for path in named if not (tests / path.removeprefix(f"{tests.name}/")).is_file()] == []


def test_benchmarks_import_what_there_is() -> None:
    missing = set()
    for path in sorted((CHECKOUT / "benchmarks").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("shotspotter_assets"):
                module = CHECKOUT / (node.module or "").replace(".", "/")
                file = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
                text = file.read_text() if file.exists() else ""
                missing |= {f"{path.name}: {node.module}.{one.name}" for one in node.names if one.name not in text}
    assert missing == set()


def test_the_table_of_shipped_cities_is_that_of_their_files() -> None:
    assert table() in (CHECKOUT / "docs" / "data.md").read_text(), "paste what python -m docs.shipped_cities prints"


def test_the_tables_of_changed_keys_are_those_of_the_declared_assets() -> None:
    page = (CHECKOUT / "docs" / "city_file.md").read_text()
    assert changed_keys.rebuilt() in page, "paste what python -m docs.changed_keys prints"
    assert changed_keys.harmless() in page, "paste what python -m docs.changed_keys prints"


def test_every_picture_is_shown_made_by_one_command_and_small() -> None:
    linked = ((page.parent / target).resolve() for page in PAGES for target in targets(page.read_text()))
    shown = {path for path in linked if path.suffix in (".png", ".svg")}
    made = {*of_demo(Demo(SETTINGS, Store("nowhere"), browser=None)), *OF_BENCHMARKS}
    assert {path.name for path in shown} == made == {path.name for path in PICTURES.iterdir()}
    assert max(path.stat().st_size for path in shown) <= MAX_PICTURE_BYTES


def test_the_lineage_shows_the_assets_of_a_city() -> None:
    from docs.lineage import lineage

    city = SETTINGS.cities["simulated_city"]
    assets = {asset for asset in Asset if city.has(asset) and asset is not Asset.SHARED_MODELS}
    for svg in (lineage(city), (PICTURES / "lineage.svg").read_bytes()):
        texts = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
        assert {text.text for text in texts} == assets, "run python -m docs.lineage"


TROUBLESHOOTING = (CHECKOUT / "docs" / "troubleshooting.md").read_text()
QUOTED = re.findall(r"^\| `(.+?)` \|", TROUBLESHOOTING, re.MULTILINE)
VARIABLE = "…"
MIN_MESSAGES = 40


def text_of(node: ast.AST) -> str:
    """Return the text of a string in the code, with a gap for each value put into it."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(text_of(part) for part in parts)
    return VARIABLE


@pytest.fixture(scope="module")
def messages() -> str:
    """All strings of the package, a line each, its scripts and the Makefile."""
    lines = [(CHECKOUT / "Makefile").read_text().replace("%d.%d", VARIABLE)]
    for module in sorted((CHECKOUT / "shotspotter_assets").rglob("*.py")):
        nodes = ast.walk(ast.parse(module.read_text()))
        lines += [text_of(node).replace("\n", " ") for node in nodes if isinstance(node, ast.Constant | ast.JoinedStr)]
    lines += [script.read_text() for script in sorted((CHECKOUT / "shotspotter_assets/pages/static").glob("*.js"))]
    return "\n".join(lines)


def test_the_page_quotes_many_messages() -> None:
    assert len(QUOTED) >= MIN_MESSAGES
    assert len(QUOTED) == len(set(QUOTED))


@pytest.mark.parametrize("quoted", QUOTED)
def test_each_quoted_message_is_one_of_the_code(quoted: str, messages: str) -> None:
    pattern = ".*".join(re.escape(part) for part in quoted.split(VARIABLE))
    assert re.search(pattern, messages) is not None


TUTORIAL = (CHECKOUT / "docs" / "tutorial.md").read_text()


def test_the_page_has_the_commands_that_its_outputs_are_of() -> None:
    shown = re.findall(r"^    shotspotter (.+)$", TUTORIAL, re.MULTILINE)
    assert {command.partition(" ")[0] for command in shown} <= main.commands.keys()
    ran = [command.removesuffix(" --print") for command in (*tutorial.FIRST_DAY, *tutorial.SECOND_DAY)]
    assert [command for command in shown if command != "ui"] == ran


def test_the_export_has_the_headings_that_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tutorial, "SETTLED_SECONDS", 0)
    day = tutorial.date(2025, 6, 1)
    tutorial.write_export(tmp_path / "alerts.csv", day, day)
    lines = (tmp_path / "alerts.csv").read_text().splitlines()
    assert f"```text\n{lines[0]}\n" in TUTORIAL
    assert len(lines) > 5


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_both_days_run_in_an_empty_folder(tmp_path: Path) -> None:
    # With two months, models of other cities serve: no training.
    days = timedelta(days=60)
    program = f"from datetime import timedelta; from docs import tutorial; tutorial.HISTORY = {days!r}"
    program = program.replace("datetime.timedelta", "timedelta") + "; tutorial.main()"
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "new")], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    first, second = re.findall(r"^\$ shotspotter run riverton_md\n(.*?)^\(", ran.stdout, re.MULTILINE | re.DOTALL)
    for output in (first, second):
        assert re.search(r"^.*risk_forecasts.*city_pages: \d+ s, \d+ CPU seconds$", output, re.MULTILINE)
    # From 7:00 on the first run has stored yesterday, too, as a day without a report.
    said = re.search(r"^raw_alerts: (\S+) \(alerts_\1\.csv\) (is new|has other rows now)\.$", second, re.MULTILINE)
    assert said, second
    [page] = re.findall(r"^\$ shotspotter pages --print\n(.+)$", ran.stdout, re.MULTILINE)
    assert (tmp_path / "new" / "store" / page.rpartition("/store/")[2]).is_file()
    [known] = re.findall(r"^  newest known day +(\S+)$", ran.stdout, re.MULTILINE)
    assert known in second
