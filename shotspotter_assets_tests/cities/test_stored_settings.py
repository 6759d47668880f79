from pathlib import Path

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.stored_settings import own_settings
from shotspotter_assets.city_files import PACKAGE_CITIES, load_cities
from shotspotter_assets.storage.catalogue import Asset


def with_streets(city: City, path: str) -> City:
    return city.model_copy(update={"streets": city.streets.model_copy(update={"path": Path(path)})})


def test_a_moved_installation_rebuilds_nothing_and_another_file_does() -> None:
    city = load_cities(PACKAGE_CITIES)["simulated_city"]
    settings = own_settings(with_streets(city, "/old/python3.11/cities/streets.parquet"), Asset.STREET_RISK)
    assert own_settings(with_streets(city, "/new/python3.13/cities/streets.parquet"), Asset.STREET_RISK) == settings
    assert own_settings(with_streets(city, "/old/python3.11/cities/roads.parquet"), Asset.STREET_RISK) != settings
