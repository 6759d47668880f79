import math
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shotspotter_assets.evaluation.gains import Gain
from shotspotter_assets.pages.track_record import Skill, issued_track
from shotspotter_assets.serving.forecast_scores import ScoreRecord
from shotspotter_assets.serving.issued_forecasts import next_day_forecasts
from shotspotter_assets.storage.file_names import GRID_FILE
from shotspotter_assets.storage.store import Partition
from shotspotter_assets_tests.pages.site_of_tiny_city import CITY, DAYS, ISSUED, TinySite


def cells(table: pa.Table) -> set[tuple[int, int]]:
    return set(zip(table["row"].to_pylist(), table["column"].to_pylist(), strict=True))


def grid(site: TinySite, day: date) -> pa.Table:
    return site.store.read_table(Partition("grid_tensors", CITY, "date", day), GRID_FILE)


def test_the_track_record_is_that_of_the_stored_scores(tiny_site: TinySite) -> None:
    track = issued_track(tiny_site.store, tiny_site.city, tiny_site.last_issued)
    days = [ISSUED + timedelta(days=at) for at in range(1, DAYS)]
    records = {day: ScoreRecord.load(tiny_site.store, CITY, day) for day in days}
    scores = {day: record.scores for day, record in records.items() if record.scores is not None}
    forecasts = next_day_forecasts(tiny_site.store, tiny_site.city, days[0], days[-1])
    observed = {day: len(cells(forecasts[day]) & cells(grid(tiny_site, day))) for day in days}
    assert track is not None
    assert track.whole.days == len(scores) == DAYS - 1
    assert track.whole.came == sum(observed.values())
    assert track.whole.expected == pytest.approx(sum(pc.sum(forecasts[day]["probability"]).as_py() for day in days))
    assert track.whole.skill is not None
    gained = [(score.gain_over_historical_mean or 0.0) * observed[day] for day, score in scores.items()]
    assert track.whole.skill.factor == pytest.approx(math.exp(sum(gained) / track.whole.came))
    assert [row.name for row in track.months] == ["2023-11"]
    assert issued_track(tiny_site.store, tiny_site.city, ISSUED - timedelta(days=1)) is None


def test_skill_has_the_ends_that_the_gain_has() -> None:
    ends = (0.2, 0.1, 0.4)
    skill = Skill.of(Gain(*ends, weeks=9))
    assert skill is not None
    assert (skill.factor, skill.low, skill.high) == pytest.approx(tuple(map(math.exp, ends)))
    assert Skill.of(Gain(0.2, None, None, weeks=1)) == Skill(factor=math.exp(0.2))
    assert Skill.of(Gain(None, None, None, weeks=9)) is None
