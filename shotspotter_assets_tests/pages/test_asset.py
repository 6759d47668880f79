import shutil
from pathlib import Path

from click.testing import CliRunner

from shotspotter_assets.__main__ import main
from shotspotter_assets.settings import Settings
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_file import ALL_CITIES
from shotspotter_assets_tests.defs.chain import Installation, materialize
from shotspotter_assets_tests.pages.site_of_tiny_city import CITY, TinySite


def test_a_run_makes_the_pages_and_links_to_them(copy: Store, tiny_site: TinySite, tmp_path: Path) -> None:
    page = tmp_path / "store" / "city_pages" / f"city={CITY}" / "index.html"
    shutil.rmtree(f"{copy.root}/city_pages")
    made = metadata_of_a_run(tiny_site, tmp_path)
    assert made["page_path"].value == str(page)
    assert page.exists()
    assert made["expected_alerts"].value > 1
    assert "page" not in made
    served = metadata_of_a_run(tiny_site, tmp_path, pages_url="https://pages.example/")
    assert served["page"].value == f"https://pages.example/city={CITY}/index.html"
    assert served["all_cities"].value == f"https://pages.example/city={ALL_CITIES}/index.html"
    assert served["files_written"].value == 0


def metadata_of_a_run(site: TinySite, root: Path, pages_url: str = "") -> dict[str, object]:
    on = Installation(Settings(site.cities, str(root / "store"), "landing", pages_url=pages_url))
    result = materialize(CITY, ["city_pages"], on)
    [made] = result.asset_materializations_for_node(f"{CITY}__city_pages")
    return dict(made.metadata)


def test_the_command_prints_the_address_of_the_pages(folder: Path, tmp_path: Path) -> None:
    def pages(store: Path) -> str:
        return CliRunner().invoke(main, ["pages", "--print"], env={"SHOTSPOTTER_STORE": str(store)}).output

    assert pages(folder.parent).strip() == str(folder / f"city={ALL_CITIES}" / "index.html")
    assert "There are no pages at" in pages(tmp_path)
