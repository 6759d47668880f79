def test_the_hour_of_week_beats_the_climatology(loss):
    assert loss("ewma_hour_of_week") < loss("climatology")


def test_horizons_below_four_hours_share_the_background_of_four(baselines):
    one, four = (baselines["ewma_hour_of_week"].models[horizon].background for horizon in (1, 4))
    assert one == four
