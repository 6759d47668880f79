from datetime import date, timedelta

from shotspotter_assets.calendar.local_time import days_between
from shotspotter_assets.quality.window import BLOCK_DAYS, Block, yearly_blocks
from shotspotter_assets_tests.quality.sound_city import FIRST, LAST


def test_blocks_are_years_back_from_the_end() -> None:
    stored = days_between(FIRST, LAST)
    assert yearly_blocks(stored, stored) == [Block(FIRST, date(2024, 1, 1)), Block(date(2024, 1, 2), LAST)]
    assert yearly_blocks(stored, stored[-1:]) == [Block(LAST - timedelta(days=BLOCK_DAYS - 1), LAST)]
    assert yearly_blocks(stored[-10:], stored[-1:]) == [Block(stored[-10], LAST)]
