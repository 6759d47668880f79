from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shotspotter_assets.accountability.burden_audit import (
    MIN_FLAGGED_DAYS,
    MIN_RESIDENTS,
    Comparison,
    Estimate,
)
from shotspotter_assets.accountability.burden_report import TOP, BurdenFiles, burden_files
from shotspotter_assets.accountability.policies import CELL_MEAN, LAST_YEAR, OBSERVED, PLANS
from shotspotter_assets.accountability.residents import Figures
from shotspotter_assets.evaluation.forecasts_table import SERVED
from shotspotter_assets_tests.accountability.planted import AREAS, CELLS, CITY, Planted

PLANTED = Planted(gap=0.2)


def rows(table: pa.Table, **wanted: str) -> list[dict[str, float]]:
    for column, value in wanted.items():
        table = table.filter(pc.equal(table[column], value))
    return table.to_pylist()


@pytest.fixture(scope="module")
def audited_and_files() -> BurdenFiles:
    random = np.random.default_rng(5)
    audited = PLANTED.audited(random)
    is_planned = np.arange(len(audited.days)) % 2 == 0
    hours = np.where(is_planned[:, None], 8.0 * (audited.probability[SERVED] > 0.2), np.nan)
    residents = PLANTED.measured(random)
    few = Figures(np.full(CELLS, 5.0), np.zeros(CELLS))
    residents = replace(residents, groups=residents.groups | {"C": few})
    return burden_files(CITY, replace(audited, unit_hours=hours), AREAS, residents)


def test_shares_of_areas_and_groups_add_up(audited_and_files: BurdenFiles) -> None:
    burden = audited_and_files.burden
    for policy in (SERVED, CELL_MEAN, LAST_YEAR, PLANS, OBSERVED):
        shares = [row["value"] for row in rows(burden, measure="share", kind="area", policy=policy)]
        assert sum(shares) == pytest.approx(1)


def test_a_group_with_too_few_residents_is_left_out_and_named(audited_and_files: BurdenFiles) -> None:
    burden = audited_and_files.burden
    [row] = rows(burden, measure="flagged_days", group="C")
    assert row["value"] is None
    assert f"500 residents in covered cells; at least {MIN_RESIDENTS:,}" in row["left_out"]
    assert any("group C" in line and "500 residents" in line for line in audited_and_files.audit.left_out)
    assert not any("C" in (one.first, one.second) for one in audited_and_files.audit.comparisons)


def test_plans_have_unit_hours_on_their_own_days(audited_and_files: BurdenFiles) -> None:
    [row] = rows(audited_and_files.burden, measure="unit_hours", group="all residents", policy=PLANS)
    assert row["value"] > 0
    [plans] = rows(audited_and_files.frontier, policy=PLANS)
    [top] = rows(audited_and_files.frontier, policy=TOP)
    assert plans["days"] == -(-top["days"] // 2)


def test_the_frontier_trades_catch_for_evenness(audited_and_files: BurdenFiles) -> None:
    lots = [row for row in audited_and_files.frontier.to_pylist() if "lot" in row["policy"]]
    assert [row["policy"].rstrip(")").split()[-1] for row in lots] == ["4", "2", "1.5", "1"]
    for measure in ("cells_caught", "alerts_caught", "difference"):
        values = [row[measure] for row in lots]
        assert values == sorted(values, reverse=True), measure
    [top] = rows(audited_and_files.frontier, policy=TOP)
    assert top["cells_caught"] > lots[0]["cells_caught"]
    assert top["flags"] == pytest.approx(lots[0]["flags"]) == 5


def test_sentences_begin_with_the_careful_end_and_call_nothing_fair(audited_and_files: BurdenFiles) -> None:
    audit = audited_and_files.audit
    [served] = [one for one in audit.comparisons if (one.kind, one.policy) == ("group", SERVED)]
    assert f"at least {served.difference.low:.1f} days a year more" in audit.sentences[0]
    assert f"ratio {served.ratio.text()}" in audit.sentences[0]
    words = " ".join([*audit.sentences, audit.conclusion]).lower()
    assert "fair" not in words
    assert "do not show" in audit.conclusion


def test_without_residents_cells_count_alike_and_areas_are_compared() -> None:
    audit, burden, frontier = burden_files(CITY, PLANTED.audited(np.random.default_rng(6)), AREAS, None)
    assert audit.unit == "cell"
    [west] = rows(burden, measure="residents", group="west")
    assert west["value"] == CELLS / 2
    assert {one.kind for one in audit.comparisons} == {"area"}
    assert min(frontier["gini"].to_pylist()) >= 0


@pytest.mark.parametrize(("gap", "kind"), [(0.0, "area"), (0.6, "group")])
def test_the_frontier_compares_the_most_unequal_pair_of_all_kinds(gap: float, kind: str) -> None:
    random = np.random.default_rng(8)
    planted = Planted(gap=gap)
    files = burden_files(CITY, planted.audited(random), AREAS, planted.measured(random))
    served = [one for one in files.audit.comparisons if one.policy == SERVED]
    largest = max(served, key=lambda one: one.difference.value or 0.0)
    [top] = rows(files.frontier, policy=TOP)
    assert (top["first"], top["second"]) == (largest.first, largest.second)
    assert top["difference"] == pytest.approx(largest.difference.value)
    assert largest.kind == kind


def test_a_target_that_needs_no_sensors_has_incidents() -> None:
    events = {"event_types": {"robbery": ("Robbery",)}, "targets": {"robbery": ("robbery",)}}
    files = burden_files(CITY.model_copy(update=events), PLANTED.audited(np.random.default_rng(6)), AREAS, None)
    words = " ".join([*files.audit.sentences, files.audit.conclusion])
    assert "incident" in words
    assert "alert" not in words


def test_few_days_are_left_out_and_three_weeks_have_no_interval() -> None:
    audited = PLANTED.audited(np.random.default_rng(7))
    short = replace(
        audited, days=audited.days[:20], alerts=audited.alerts[:20],
        probability={name: values[:20] for name, values in audited.probability.items()},
    )  # fmt: skip
    audit, burden, _ = burden_files(CITY, short, AREAS, None)
    assert audit.comparisons == ()
    assert any("20 days; at least 28" in line for line in audit.left_out)
    assert rows(burden, measure="flagged_days", policy=SERVED)[0]["value"] is None
    assert Estimate.of(np.array([2.0])) == Estimate(value=2.0)
    assert Estimate.of(np.array([np.nan, 1.0])) is None
    assert Estimate.of(np.array([2.0, *[1.0] * 90, *[np.nan] * 10])) == Estimate(value=2.0), "its end is unknown"


def districts(inner: int, covered: int = CELLS) -> BurdenFiles:
    """The audit of a city whose first cells are flagged each day, by districts of ten cells, some without coverage."""
    audited = PLANTED.audited(np.random.default_rng(6))
    probability = np.tile(np.where(np.arange(CELLS) < inner, 0.5, 0.01), (len(audited.days), 1))
    forecasts = dict.fromkeys(audited.probability, probability[:, :covered])
    areas = np.array([f"district {number}" for number in range(10)])[:, None].repeat(10, axis=1)
    cells = np.arange(covered)
    return burden_files(
        CITY, replace(audited, probability=forecasts, alerts=audited.alerts[:, :covered], cells=cells), areas, None
    )


def test_ratios_are_those_of_the_exposures_and_their_interval_holds_them(audited_and_files: BurdenFiles) -> None:
    ratios = [(one, one.ratio) for one in audited_and_files.audit.comparisons if one.ratio]
    assert ratios
    for one, ratio in ratios:
        assert ratio.value == pytest.approx(one.exposure[0] / one.exposure[1])
        assert ratio.low < ratio.value < ratio.high
        assert one.policy != SERVED or ratio.value >= 1


def test_without_enough_flagged_days_there_is_a_difference_and_no_ratio() -> None:
    audit, burden, _ = districts(inner=5)
    served = {one.first: one for one in audit.comparisons if one.policy == SERVED}
    assert set(served) == {"district 0", *(f"outside district {number}" for number in range(1, 10))}, "the less flagged"
    assert {one.ratio for one in served.values()} == {None}
    assert {one.second: one.exposure[1] for one in served.values()}["district 3"] == 0
    assert all(one.difference.value > 0 for one in served.values())
    [row] = rows(burden, measure="ratio", group="district 0 and outside district 0", policy=SERVED)
    assert row["value"] is None
    assert f"fewer than {MIN_FLAGGED_DAYS} flagged days" in row["left_out"]


def test_areas_that_tie_are_named_as_ties() -> None:
    [sentence] = districts(inner=5).audit.sentences
    assert (
        "flagged most in district 0 (182.6 days a year) and least in 9 areas (0.0: district 1, district 2" in sentence
    )


def test_an_area_flagged_less_than_all_others_leads_its_pair() -> None:
    audited = PLANTED.audited(np.random.default_rng(6))
    quiet = np.isin(np.arange(CELLS) // 10, (7,))
    probability = np.where(quiet, audited.probability[SERVED] / 50, audited.probability[SERVED])
    areas = np.where(quiet, "quiet", "loud").reshape(10, 10)
    audit = burden_files(
        CITY, replace(audited, probability=dict.fromkeys(audited.probability, probability)), areas, None
    ).audit
    assert {(one.first, one.second) for one in audit.comparisons if one.policy == SERVED} == {
        ("loud", "outside loud"),
        ("outside quiet", "quiet"),
    }


def test_a_district_without_sensors_is_named_and_has_no_value() -> None:
    audit, burden, _ = districts(inner=5, covered=80)
    assert "Left out: area district 9: no sensors." in audit.left_out
    [row] = rows(burden, measure="flagged_days", group="district 9")
    assert (row["value"], row["left_out"]) == (None, "no sensors")
    assert rows(burden, measure="residents", group="district 9") == []
    assert "7 areas" in audit.sentences[0], "no district without sensors is among the least flagged"


def test_figures_of_long_ago_and_uncovered_cells_are_named() -> None:
    random = np.random.default_rng(8)
    residents = replace(PLANTED.measured(random), cover=np.where(np.arange(CELLS) < 90, 1.0, 0.2))
    old = CITY.model_copy(update={"audit": CITY.audit.model_copy(update={"year": 2015})})
    audit = burden_files(old, PLANTED.audited(random), AREAS, residents).audit
    assert any("10 of 100 covered cells lie mostly outside" in line for line in audit.left_out)
    assert any("the figures are of 2015, and the first audited day is in 2024" in line for line in audit.left_out)


def found(city: Planted, seed: int) -> Comparison:
    """What an audit finds between both groups of a city, by the served forecast."""
    random = np.random.default_rng(seed)
    files = burden_files(CITY, city.audited(random), AREAS, city.measured(random))
    [comparison] = [one for one in files.audit.comparisons if (one.kind, one.policy) == ("group", SERVED)]
    return comparison


def difference(comparison: Comparison) -> Estimate:
    """Flagged days of group A less those of B, whichever is named first."""
    found = comparison.difference
    if comparison.first == "A":
        return found
    return Estimate(value=-found.value, low=-(found.high or 0.0), high=-(found.low or 0.0))


def test_a_planted_disparity_is_found_with_its_size() -> None:
    city = Planted(gap=0.2)
    true = city.true_difference()
    comparisons = [found(city, seed) for seed in range(8)]
    assert all(one.is_shown and one.first == "A" for one in comparisons)
    assert sum(difference(one).low <= true <= difference(one).high for one in comparisons) >= 6


def test_no_disparity_is_reported_where_there_is_none() -> None:
    assert sum(found(Planted(gap=0.0), seed).is_shown for seed in range(8)) == 0


@pytest.mark.slow
def test_intervals_hold_the_size_and_none_is_reported_in_100_seeds() -> None:
    city = Planted(gap=0.2)
    true = city.true_difference()
    planted = [found(city, seed) for seed in range(100)]
    assert sum(difference(one).low <= true <= difference(one).high for one in planted) >= 85
    assert all(one.is_shown for one in planted)
    assert sum(not found(Planted(gap=0.0), seed).is_shown for seed in range(100)) >= 65
