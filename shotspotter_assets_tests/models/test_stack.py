from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
import pytest
from scipy.special import expit

from shotspotter_assets.grid.dates import is_holiday_fireworks
from shotspotter_assets.models.forecaster import FitContext, clip_probability, log_losses
from shotspotter_assets.models.forecaster_registry import forecaster
from shotspotter_assets.models.history import History
from shotspotter_assets.models.next_day.lag_baselines import lag_features
from shotspotter_assets.models.stack import LONG_LEAD_DAYS, PRIOR_WEIGHTS, FittedStack, Periods, combined
from shotspotter_assets.models.stacking import WeightPosterior, logits_of
from shotspotter_assets_tests.models.histories import CITY, TEST, WINDOWS, build, changed, fitted, history, shared_start

BEFORE = range(200)
WEIGHED = range(200, 382)
LATER = range(382, 460)
FIRST_DAY = date(2021, 4, 1)


@dataclass(frozen=True)
class Known:
    """A member whose forecasts are given."""

    probability: np.ndarray
    validation_probability: np.ndarray | None = None
    chosen: dict[str, object] = field(default_factory=dict)

    def predict(self, history: object, periods: object) -> np.ndarray:
        return self.probability[np.asarray(periods)]

    def files(self) -> dict[str, bytes]:
        return {}


def town(seed: int = 0) -> tuple[History, np.ndarray]:
    random = np.random.default_rng(seed)
    cells = random.gamma(0.7, 0.05, 400)
    weeks = np.exp(random.normal(0, 0.3, LATER.stop // 7 + 1)).repeat(7)[: LATER.stop]
    truth = np.clip(cells * weeks[:, None], 1e-4, 0.9)
    observed = random.random(truth.shape) < truth
    counts = np.zeros((LATER.stop, 4, 20, 20), np.uint16)
    counts[:, 0] = observed.reshape(-1, 20, 20)
    return History(CITY, FIRST_DAY, counts, np.ones((20, 20), bool)), truth


def stack_of(past: History, forecasts: dict[str, np.ndarray]) -> FittedStack:
    members = {name: Known(p, p[WEIGHED.start : WEIGHED.stop]) for name, p in forecasts.items()}
    return combined(members, Periods.of_days(past.through(WEIGHED.stop)), BEFORE, WEIGHED, PRIOR_WEIGHTS)


def loss(stack: FittedStack, past: History) -> float:
    """Nats per positive on the days after the validation window."""
    observed = past.observed[LATER.start : LATER.stop]
    return float(log_losses(stack.predict(past, LATER), observed).sum() / observed.sum())


PAST, TRUTH = town()
PLAIN = np.clip(TRUTH.mean(axis=0) * np.ones((len(TRUTH), 1)), 1e-4, 0.9)
GOOD = {"residual_boosting": TRUTH, "ew_kde": PLAIN}
YESTERDAY = np.where(np.vstack([PAST.observed[:1], PAST.observed[:-1]]), 0.9, 0.01)
JUNK = {
    "shuffled": np.random.default_rng(1).permuted(PLAIN, axis=1),
    "yesterdays_map": YESTERDAY,
    "ten_to_one": 10 * PLAIN / (1 + 9 * PLAIN),
}


@pytest.mark.parametrize("junk", [*([name] for name in JUNK), list(JUNK)])
def test_junk_among_the_members_gets_about_no_weight_and_costs_nothing(junk):
    alone = stack_of(PAST, GOOD)
    beside = stack_of(PAST, GOOD | {name: JUNK[name] for name in junk})
    assert all(abs(beside.chosen["weights"][name]) < 0.1 for name in junk)
    assert loss(beside, PAST) - loss(alone, PAST) < 0.002


def test_a_member_that_turns_bad_loses_its_weight():
    random = np.random.default_rng(2)
    broken = {"residual_boosting": random.permuted(PLAIN, axis=1), "ew_kde": PLAIN}
    weights = stack_of(PAST, broken).chosen["weights"]
    prior = WeightPosterior.prior(list(broken), 0.0, PRIOR_WEIGHTS).mean
    assert prior[0] > prior[1]
    assert weights["residual_boosting"] < weights["ew_kde"]


def test_a_new_member_starts_with_a_tenth_of_the_weights():
    prior = WeightPosterior.prior(["ew_kde", "new", "residual_boosting"], 0.0, PRIOR_WEIGHTS)
    total = sum(PRIOR_WEIGHTS.values())
    assert prior.weights["new"] == pytest.approx(total / 10)
    assert sum(prior.weights.values()) == pytest.approx(total)
    ratio = PRIOR_WEIGHTS["residual_boosting"] / PRIOR_WEIGHTS["ew_kde"]
    assert prior.weights["residual_boosting"] / prior.weights["ew_kde"] == pytest.approx(ratio)
    crowd = WeightPosterior.prior(["ew_kde", *"abcdefghijklmnopqrs"], 0.0, PRIOR_WEIGHTS)
    assert crowd.mean[:-1] == pytest.approx(total / 20)


def test_first_days_are_forecast_with_the_stored_weights():
    stack = stack_of(PAST, GOOD)
    first = range(LATER.start, LATER.start + 1)
    np.testing.assert_array_equal(stack.predict(PAST.through(LATER.start), first)[0], stack.predict(PAST, LATER)[0])


@pytest.mark.parametrize("lead", [1, 5])
def test_the_weights_of_a_day_rest_on_days_that_are_known_before_it(lead):
    past = replace(PAST, lead=lead)
    noise = past.counts.copy()
    cut = LATER.start + 40
    noise[cut:, 0] = np.random.default_rng(3).random(noise[cut:, 0].shape) < 0.3
    noisy = replace(past, counts=noise)
    stack = stack_of(past, GOOD)
    before = stack.predict(past, LATER)
    after = stack.predict(noisy, LATER)
    first = cut + lead - LATER.start
    np.testing.assert_array_equal(before[:first], after[:first])
    assert (before[first + 7 :] != after[first + 7 :]).any()

    # Within the validation window too: its forecasts are those that would have been made then.
    noise[WEIGHED.start + 100 :, 0] = noise[WEIGHED.start + 100 :, 0][::-1]
    again = stack_of(replace(past, counts=noise), GOOD)
    kept = slice(100 + lead - 1)
    np.testing.assert_array_equal(stack.validation_probability[kept], again.validation_probability[kept])
    assert (stack.validation_probability != again.validation_probability).any()


def test_at_a_long_lead_the_weights_stay_those_of_other_cities():
    weights = {}
    for lead in (LONG_LEAD_DAYS - 1, LONG_LEAD_DAYS):
        past = replace(PAST, lead=lead)
        stack = stack_of(past, GOOD)
        weights[lead] = np.array([*stack.chosen["weights"].values(), stack.chosen["offset"]])
        logits = logits_of({name: forecast[LATER.start : LATER.stop] for name, forecast in GOOD.items()})
        ordinary = ~is_holiday_fireworks(past.days()[LATER.start :])
        fixed = stack.predict(past, LATER) == clip_probability(expit(stack.posterior.log_odds(logits)))
        assert fixed[ordinary].all() == (lead == LONG_LEAD_DAYS)
    prior = WeightPosterior.prior(list(GOOD), 0.0, PRIOR_WEIGHTS).mean
    np.testing.assert_allclose(weights[LONG_LEAD_DAYS], prior, atol=1e-4)
    assert np.abs(weights[LONG_LEAD_DAYS - 1] - prior).max() > 0.01


def test_firework_days_move_no_weights_and_are_half_those_of_their_regime():
    stack = stack_of(PAST, GOOD)
    counts = PAST.counts.copy()
    new_year = (date(2022, 1, 1) - FIRST_DAY).days
    counts[new_year] = 3
    assert new_year in WEIGHED
    other = stack_of(replace(PAST, counts=counts), GOOD)
    assert other.chosen["weights"] == stack.chosen["weights"]
    forecast = stack.validation_probability[new_year - WEIGHED.start]
    assert np.corrcoef(np.log(forecast), np.log(TRUTH[new_year]))[0, 1] > 0.99
    regime = {"residual_boosting": np.full_like(TRUTH, 0.9), "ew_kde": PLAIN}
    without_regime = {"gradient_boosting": TRUTH, "ew_kde": PLAIN}
    stacks = (stack_of(PAST, members) for members in (regime, without_regime))
    loud, quiet = (one.validation_probability[new_year - WEIGHED.start] for one in stacks)
    assert ((loud > 0.45) & (loud < 0.95)).all()
    assert (quiet < 0.45).mean() > 0.95


def test_other_events_than_gunshots_have_no_firework_days():
    counts = np.zeros((LATER.stop, 5, 20, 20), np.uint16)
    counts[:, 4] = PAST.counts[:, 0]
    of_robberies = {"event_types": {"robbery": ("Robbery",)}, "targets": {"robbery": ("robbery",)}}
    past = History(CITY.model_copy(update=of_robberies), FIRST_DAY, counts, PAST.in_coverage)
    new_year = (date(2022, 1, 1) - FIRST_DAY).days
    stack = stack_of(past, {"residual_boosting": np.full_like(TRUTH, 0.9), "ew_kde": PLAIN})
    assert (stack.validation_probability[new_year - WEIGHED.start] < 0.45).mean() > 0.95
    features = lag_features(past, [new_year])
    assert not features.values[..., features.names.index("is_firework_day")].any()


def test_members_have_the_settings_of_the_citys_file_and_of_the_launchpad():
    few = build("stack", members=["residual_boosting", "ewma"])
    own = replace(history(), city=CITY.model_copy(update={"forecasters": {"residual_boosting": {"leaves": 3}}}))
    assert few.fit(own, *WINDOWS).chosen["members"]["residual_boosting"]["num_leaves"] == 3
    launched = few.fit(own, *WINDOWS, FitContext(changes={"residual_boosting": {"leaves": 4}}))
    assert launched.chosen["members"]["residual_boosting"]["num_leaves"] == 4


def test_a_stored_stack_has_its_members_and_its_weights():
    stack = fitted("stack")
    files = stack.files()
    assert {"model.json", "ew_kde.model.json", "gradient_boosting.trees.txt"} < set(files)
    again = forecaster("stack").load(files)
    assert again.chosen == stack.chosen
    assert list(again.members) == list(stack.members)
    for name, member in again.members.items():
        expected = stack.members[name].predict(history(), TEST)
        np.testing.assert_allclose(member.predict(history(), TEST), expected, rtol=1e-5)
    # From noise after the day that was learned last, the weights of the stored stack follow week by week.
    assert (again.predict(history(), TEST)[8:] != again.predict(changed(history(), 260), TEST)[8:]).any()


def test_a_stack_records_the_model_of_all_cities_that_its_members_start_at():
    few = build("stack", members=["regime_regression", "ewma"])
    stack = few.fit(history(), *WINDOWS, FitContext(shared=shared_start()))
    assert stack.chosen["shared"] == "all-cities|2022-01-01"
    assert "shared" not in few.fit(history(), *WINDOWS).chosen


def test_weights_in_words():
    posterior = WeightPosterior(("one", "two"), 0.0, np.array([0.2, -0.6, 0.0]), np.eye(3))
    assert posterior.in_words == "two -75%, one 25%"
