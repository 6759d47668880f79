"""The track record against the scores that were stored of the same days."""

import math
from datetime import timedelta

import pytest

from shotspotter_assets.evaluation.gains import Gain
from shotspotter_assets.pages.track_record import Skill, issued_track
from shotspotter_assets.serving.forecast_scores import ScoreRecord
from shotspotter_assets_tests.pages.site_of_tiny_city import CITY, DAYS, ISSUED, TinySite


def test_the_track_record_is_that_of_the_stored_scores(tiny_site: TinySite) -> None:
    track = issued_track(tiny_site.store, tiny_site.city, tiny_site.last_issued)
    records = [ScoreRecord.load(tiny_site.store, CITY, ISSUED + timedelta(days=at)) for at in range(1, DAYS)]
    scores = [record.scores for record in records if record.scores is not None]
    assert track is not None
    assert track.whole.days == len(scores) == DAYS - 1
    assert track.whole.came == sum(score.observed_cells for score in scores)
    assert track.whole.expected == pytest.approx(sum(score.predicted_cells for score in scores))
    assert track.whole.skill is not None
    gained = [(score.gain_over_historical_mean or 0.0) * score.observed_cells for score in scores]
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
