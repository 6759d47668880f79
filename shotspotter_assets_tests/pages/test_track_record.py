"""The track record against the scores that were stored of the same days."""

import math
from datetime import timedelta

import pytest

from shotspotter_assets.evaluation.gains import Gain
from shotspotter_assets.pages.layers import CityLayers
from shotspotter_assets.pages.places import Places
from shotspotter_assets.pages.tomorrow import BANDS
from shotspotter_assets.pages.track_record import Skill, folds, issued_track
from shotspotter_assets.serving.forecast_scores import ScoreRecord
from shotspotter_assets_tests.pages.site_of_tiny_city import CITY, DAYS, ISSUED, TinySite


def test_the_track_record_is_that_of_the_stored_scores(tiny_site: TinySite) -> None:
    last = tiny_site.last_issued
    track = issued_track(tiny_site.store, tiny_site.city, Places(tiny_site.city, CityLayers.read(tiny_site.city)), last)
    records = [ScoreRecord.load(tiny_site.store, CITY, ISSUED + timedelta(days=at)) for at in range(1, DAYS)]
    scores = [record.scores for record in records if record.scores is not None]
    assert track is not None
    assert track.days == len(scores) == DAYS - 1
    assert track.came == sum(score.observed_cells for score in scores)
    assert track.expected == pytest.approx(sum(score.predicted_cells for score in scores))
    assert track.over_mean is not None
    gained = [(score.gain_over_historical_mean or 0.0) * score.observed_cells for score in scores]
    assert track.over_mean.factor == pytest.approx(math.exp(sum(gained) / track.came))
    alerts, expected = sum(score.observed_alerts for score in scores), sum(score.expected_alerts for score in scores)
    hours = track.counts["Hours"]
    assert [row.name for row in hours] == list(BANDS)
    assert sum(row.came for row in hours) == alerts
    assert sum(row.expected for row in hours) == pytest.approx(expected)
    kinds = track.counts["Kind of gunfire"]
    assert 0 < sum(row.came for row in kinds) <= alerts
    assert sum(row.expected for row in kinds) == pytest.approx(sum(row.came for row in kinds))
    for groups in track.groups.values():
        assert sum(row.came for row in groups) == track.came
        assert sum(row.expected for row in groups) == pytest.approx(track.expected)
    assert {row.name for row in track.groups["District"]} == {"Ward 1", "Ward 2"}


def test_skill_has_the_ends_that_the_gain_has() -> None:
    ends = (0.2, 0.1, 0.4)
    skill = Skill.of(Gain(*ends, level=0.9, weeks=9, draws=1000))
    assert skill is not None
    assert (skill.factor, skill.low, skill.high) == pytest.approx(tuple(map(math.exp, ends)))
    assert Skill.of(Gain(0.2, None, None, level=0.9, weeks=1, draws=1000)) == Skill(factor=math.exp(0.2))
    assert Skill.of(Gain(None, None, None, level=0.9, weeks=9, draws=1000)) is None


def test_before_any_forecast_there_is_no_track_record(tiny_site: TinySite) -> None:
    places = Places(tiny_site.city, CityLayers(None, None))
    assert issued_track(tiny_site.store, tiny_site.city, places, ISSUED - timedelta(days=1)) is None
    assert folds(tiny_site.store, CITY) is None
