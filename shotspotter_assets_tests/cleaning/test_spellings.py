import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import load_city
from shotspotter_assets.cleaning.spellings import type_codes, unknown_spellings
from shotspotter_assets_tests.conftest import TEST_CITIES, real_alerts

CITY = load_city(TEST_CITIES / "landing_city.yaml")
SPELLINGS = {
    "Single_Gunshot": 0, "Single Gunshot": 0, "SINGLE GUNSHOT": 0, "single-gunshot": 0, " Single  Gunshots ": 0, "SG": 0,
    "Multiple_Gunshots": 1, "Multiple Gunshots": 1, "MULTIPLE GUNSHOTS": 1, "MG": 1,
    "Gunshot_or_Firecracker": 2, "GUNSHOT OR FIRECRACKER": 2, "Possible Gunfire": 2, "Probable_Gunfire": 2, "pg": 2,
    "Single Gun-shot": 0, "Multiple Gunshot": 1, "Multiple Gun-shot or Firecracker": 2, "0": 0, "1": 1, "2": 2,
    "3": None, "#REF!": None, "": None, None: None,
}  # fmt: skip


def codes(texts: list[str | None], city: City = CITY) -> list[int | None]:
    found: list[int | None] = type_codes(column(texts), city).to_pylist()
    return found


def column(texts: list[str | None]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(texts, pa.string())])


def test_spellings() -> None:
    assert codes(list(SPELLINGS)) == list(SPELLINGS.values())


def test_a_citys_own_spellings_and_events_come_first() -> None:
    own = {"Shots, Confirmed": 1, "PG": None, "Robbery of Gun": 0}
    events = {"robbery": ("ROBBERY", "Robbery of gun"), "shots fired call": ("SG",)}
    city = CITY.model_copy(update={"gunshot_spellings": own, "event_types": events})
    texts = ["shots,_confirmed", "pg", "PG", "robbery", "ROBBERY-OF-GUN", "sg", "MG", "theft", None]
    assert codes(texts, city) == [1, None, None, 4, 0, 5, 1, None, None]
    # What the city's file calls no known type is not unknown.
    assert unknown_spellings(column(texts), type_codes(column(texts), city), city) == {"theft": 1}
    assert unknown_spellings(column(texts), type_codes(column(texts), CITY), CITY) == {
        "shots,_confirmed": 1, "robbery": 1, "ROBBERY-OF-GUN": 1, "theft": 1,
    }  # fmt: skip


ACOUSTIC = ["washington_dc", "washington_dc_2006_2013", "springfield_ma_hourly", "san_francisco_ca", "camden_nj_dateonly",
            "goldsboro_nc", "brockton_ma", "oakland_ca", "cincinnati_oh", "fresno_ca", "wilmington_nc"]  # fmt: skip


@pytest.mark.parametrize("file", ACOUSTIC)
def test_every_spelling_of_the_real_files_has_a_code(file: str) -> None:
    spellings = pq.read_table(real_alerts(file), columns=["alert_type"])["alert_type"].cast(pa.string())
    assert type_codes(spellings, CITY).null_count == spellings.null_count
