import re
from datetime import date, timedelta

from shotspotter_assets.quality.all_checks import ALL_CHECKS
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets_tests.quality.sound_city import FIRST, city_of, findings, firing, local_day, sound


def test_sound_data_raise_no_warning() -> None:
    for seed, per_day in ((1, 12.0), (2, 1.0), (3, 60.0)):
        rows = sound(per_day, seed)
        assert firing(rows) == {}
        for day in (date(2024, 3, 9), date(2024, 7, 4), date(2024, 12, 31)):
            assert firing(rows, days=[day]) == {}


def test_a_check_passes_where_it_has_nothing_to_check() -> None:
    first_days = [FIRST + timedelta(days=at) for at in range(5)]
    found = findings(city_of(sound(1.0, seed=3)).window(first_days))
    assert all(finding.passed for finding in found.values())
    for name in ("unusual_days", "silent_days", "level_change", "new_area"):
        assert found[name].message.startswith("Not enough days"), name
    assert found["points"].message.startswith("Fewer than 20 incidents")
    assert found["clock"].message.startswith("Fewer than 100 alerts")
    empty = sound(1.0, seed=3)
    empty = empty[local_day(empty) > first_days[-1]]
    assert findings(city_of(empty).window(first_days))["share_rejected"].message == "No rows to check."


def test_the_docs_list_all_checks_in_order() -> None:
    section = (CHECKOUT / "docs" / "data.md").read_text().partition("## The checks")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(ALL_CHECKS)
