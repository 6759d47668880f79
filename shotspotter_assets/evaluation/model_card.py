"""The model card of a city: what its forecast is, how good it is, and what it must not be used for, in Markdown.

The numbers are those of the walk-forward report; the text about sensors and about predictive policing in general states
what the named sources say.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

from shotspotter_assets.evaluation.burden import FLAGGED_PERCENT, Burden
from shotspotter_assets.evaluation.gate import PREDICTED_OVER_OBSERVED, TRUTH, Verdict
from shotspotter_assets.evaluation.table_scores import GroupScores
from shotspotter_assets.evaluation.walk_forward_report import WalkForwardReport
from shotspotter_assets.markdown import plain
from shotspotter_assets.models.next_day.baselines import HISTORICAL_MEAN

CANNOT: Final = """\
## What it can and cannot do

- It ranks covered cells: where the next alerts are more likely than elsewhere, and how likely, on average over many days.
- It does not say where or when a shot will be fired, nor who will fire it. Most flagged cells see nothing (see above).
- Outside the coverage it says nothing at all: no forecast there is not a forecast of zero.
- It forecasts alerts as they are published. What sensors miss, and what is taken for gunfire but is not, is in it.
"""

CRITICISM: Final = """\
## Known criticism of the data, on both sides

- Chicago's Office of Inspector General, January 2020 to May 2021: of 50,176 alerts, 41,830 had a disposition and 4,556
  showed evidence of a gun crime, 9.1% of all alerts; 2.1% were tied to an investigatory stop. It adds that frequent
  alerts changed how some officers treat people of the area (report F2021-68 and its press coverage).
- New York City's Comptroller: 8 to 20% of alerts confirmed in the months sampled; in June 2023 13% of 940 (FP23-074A).
- MacArthur Justice Center: in Chicago the sensors stood in the 12 police districts with the highest share of Black and
  Latinx residents (endpolicesurveillance.com).
- The vendor states 97% accuracy and 0.5% false positives, from reports of its customers, and published a rebuttal
  that it paid for (edgewortheconomics.com).
- Misses exist too: Chicago reported more than 550 in 2023 (theappeal.org); the city ended its use in September 2024.
- "No evidence found" is not "no shot was fired", and an alert is not a proven shot. Both are true of this target.
- Alerts are classified again later, and the rules change over the years; a change of rules looks like a change of gunfire.
"""

FAIRNESS: Final = """\
## Feedback and fairness

- Models that learn from what patrols find send patrols back to where patrols were (Lum and Isaac on drug arrests; Ensign
  and others, arXiv 1706.09847). Acoustic alerts do not depend on patrols being there, so this loop is weaker here. It
  comes back through where sensors are placed, through relabelling by police, through deterrence in patrolled cells, and
  at once if arrests or other crimes are added to the target.
- Sensors were placed by decisions that this project does not know. Uncovered areas get neither alerts nor flags.
- An audit of 5.9 million predictions of another product in 38 places found that they leaned to Black, Latino and poor
  neighbourhoods (The Markup, 2021); another product's predictions matched reported crimes in less than 0.5% of cases
  (The Markup, 2023). Santa Cruz banned predictive policing in June 2020.
- The tables below say where the flags fall. Not measured here: the population of the areas, false alarms per resident,
  shares by population group, and patrols actually sent. Whoever uses the forecast should measure them.
"""

NOT_FOR: Final = """\
## What it must not be used for

- Not about persons: no stop, search, arrest, charge or evidence may rest on a flag or on a probability.
- Not to judge a neighbourhood, an officer, or the sensors' accuracy.
- Not outside the covered cells, not for another city, and not for other crimes.
- Not without a person who decides, writes down why, and can be asked; and not without a way to switch it off.
- Not when the gate fails and the baseline is not acceptable either: see the verdict.
"""


@dataclass(frozen=True)
class InService:
    """What makes a city's daily forecasts.

    Attributes:
        forecaster: its name.
        since: first day of its service without a break.
        day: the last day for which this is known.
        reasons: why that one, in words.
    """

    forecaster: str
    since: date
    day: date
    reasons: tuple[str, ...]


def model_card(report: WalkForwardReport, in_service: InService | None = None) -> str:
    """Markdown for people who decide whether to use the forecast.

    Args:
        report: of a city.
        in_service: what makes the city's daily forecasts; None if none are made. The scores of the card are those of the
            forecast that the report's verdict serves, whatever is in service.
    """
    served = report.verdict.served
    parts = [
        f"# Model card: next-day alert forecast of {report.city}\n\n{_opening(report.burden[served], report.base_rate)}\n",
        _verdict(report.verdict, in_service),
        _target(report),
        _skill(report, in_service),
        _calibration(report, served),
        CANNOT,
        CRITICISM,
        FAIRNESS,
        _burden(report.burden[served], report.by_area.kind),
        NOT_FOR,
    ]
    return "\n".join(parts)


def _opening(flags: Burden, base_rate: float) -> str:
    text = (
        f"On an average day {_percent(base_rate)} of the covered cells have an alert. With the {FLAGGED_PERCENT}% "
        f"of cells flagged that the forecast ranks highest ({flags.flagged_cells_per_day:.1f} a day), "
        f"**{flags.empty_of_ten:.1f} of ten flagged cells see nothing** (precision {_percent(flags.precision)})"
    )
    if flags.hit_rate is None:
        return f"{text}."
    return f"{text}; they hold {_percent(flags.hit_rate)} of the cells with an alert."


def _verdict(verdict: Verdict, in_service: InService | None) -> str:
    kind = "the candidate" if verdict.passed else f"the best baseline, as {verdict.candidate} did not pass the gate"
    parts = ["## Which forecast is served, and why"]
    if in_service is None:
        parts += [f"Served: **{verdict.served}**, {kind}.", _bullets(verdict.reasons)]
    else:
        parts += [
            f"In service since {in_service.since} (as of {in_service.day}): **{in_service.forecaster}**, because:",
            _bullets(in_service.reasons),
            f"Over the folds the verdict is {'the same' if _agree(verdict, in_service) else 'another one'}: "
            f"**{verdict.served}**, {kind}.",
            _bullets(verdict.reasons),
        ]
        if not _agree(verdict, in_service):
            parts.append(f"The scores below are those of {verdict.served}, unless another one is named.")
    return "\n\n".join(parts) + "\n"


def _agree(verdict: Verdict, in_service: InService) -> bool:
    return verdict.served == in_service.forecaster


def _bullets(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {plain(line)}" for line in lines)


def _target(report: WalkForwardReport) -> str:
    cells = sorted(set(report.covered_cells.values()))
    covered = f"{cells[0]}" if len(cells) == 1 else f"{cells[0]} to {cells[-1]}"
    rows, columns = report.grid
    return (
        "## Target and data\n\n"
        "- Target: whether a cell has at least one *published alert* on the next local day. Not shootings, crime or people.\n"
        f"- Tested on {report.first_day} to {report.last_day}: {report.days:,} days, folds "
        f"{', '.join(map(str, report.folds))}, each forecast by models that saw only the days before its cutoff.\n"
        f"- Coverage: {covered} of {rows * columns:,} cells, {report.coverage}.\n"
        f"- Base rate: {_percent(report.base_rate)} ({report.positives:,} of {report.cell_days:,} cell-days had an "
        f"alert). Never forecasting one is right in {_percent(1 - report.base_rate)} of them: accuracy says nothing here.\n"
    ) + _made_of(report)


def _made_of(report: WalkForwardReport) -> str:
    lines = [
        f"- Fold {fold}: shrunk towards the model of all cities, {origin}." for fold, origin in report.shared.items()
    ]
    lines += [f"- Fold {fold}: combined from {trust}." for fold, trust in report.trust.items()]
    lines += [f"- {use.words}" for use in report.tuned.values()]
    return "".join(f"{line}\n" for line in lines)


def _skill(report: WalkForwardReport, in_service: InService | None) -> str:
    served, best = report.verdict.served, report.verdict.best_baseline
    marks = {TRUTH: f"{TRUTH} (the process itself)", served: f"**{served}** (served)"}
    if in_service is not None:
        marks |= {served: f"**{served}** (verdict)", in_service.forecaster: f"**{in_service.forecaster}** (in service)"}
        if _agree(report.verdict, in_service):
            marks[served] = f"**{served}** (verdict, in service)"
    lines = [
        "## Skill",
        "",
        "| forecast | log loss | gain over historical mean | gain over best baseline | Brier skill | average precision "
        "| hit rate at 5% | PAI at 5% |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, scores in report.models.items():
        gains = " | ".join(scores.gain_over[over].text() for over in (HISTORICAL_MEAN, best))
        numbers = (scores.brier_skill, scores.average_precision, scores.hit_rate[5], scores.pai[5])
        lines.append(f"| {marks.get(name, name)} | {scores.log_loss:.5f} | {gains} | {_row(numbers)} |")
    lines += [
        "",
        "Gains are in nats per cell-day with an alert, with the 90% interval of a bootstrap of whole weeks. The best "
        f"baseline is {best}.",
    ]
    if report.without_firework_days:
        gain = report.without_firework_days[served].gain_over[HISTORICAL_MEAN].text()
        subject = "the served forecast" if in_service is None else served
        lines.append(f"Without 3-5 July, 31 December and 1 January {subject} gains {gain} over the historical mean.")
    lines += ["", f"By area ({report.by_area.kind}):", "", *_groups(report.by_area.areas, served)]
    for hours, horizon in report.horizons.items():
        over = horizon.verdict.best_baseline
        others = [f"{name} {scores.gain_over[over].text()}" for name, scores in horizon.models.items() if name != over]
        served_hours = f"Next {hours} hours: {horizon.verdict.served} is served."
        lines += ["", f"{served_hours} Gain over {over}, the best baseline: {'; '.join(others)}."]
    types = report.gunshot_types
    if types is not None:
        others = [f"{name} {scores.gain.text()}" for name, scores in types.models.items() if name != types.reference]
        gains = "; ".join(others) or "no other forecast"
        lines += ["", f"Type given an alert, gain over {types.reference} in nats per alert: {gains}."]
    return "\n".join(lines) + "\n"


def _groups(groups: dict[str, GroupScores], served: str) -> list[str]:
    lines = [
        "| | cell-days with an alert | gain over historical mean | predicted / observed |",
        "| --- | --- | --- | --- |",
    ]
    for name, group in groups.items():
        scores = group.models[served]
        numbers = (scores.gain_over_reference, scores.predicted_over_observed)
        lines.append(f"| {plain(name)} | {group.positives:,} | {_row(numbers)} |")
    return lines


def _calibration(report: WalkForwardReport, served: str) -> str:
    scores, bins = report.models[served], report.reliability[served]
    lowest, highest = PREDICTED_OVER_OBSERVED
    ratio, slope, intercept = (
        _number(number)
        for number in (scores.predicted_over_observed, scores.calibration_slope, scores.calibration_intercept)
    )
    return (
        "## Calibration\n\n"
        f"Predicted / observed {ratio} (allowed {lowest} to {highest}), slope {slope} (1 is calibrated), intercept "
        f"{intercept} (0 is calibrated). In the tenth of the cell-days with the highest forecasts, "
        f"{_percent(bins.mean_forecast[-1])} was forecast and {_percent(bins.observed_frequency[-1])} happened.\n"
    )


def _burden(burden: Burden, kind: str) -> str:
    lines = [
        f"| {kind} | share of covered cell-days | share of flags | share of alerts | precision of flags |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, area in burden.by_area.items():
        shares = (area.share_of_covered, area.share_of_flagged, area.share_of_alerts, area.precision)
        lines.append(f"| {plain(name)} | {' | '.join('-' if share is None else _percent(share) for share in shares)} |")
    repeats = burden.repeats
    top = repeats.top_cells[0]
    lines += [
        "",
        f"Of {repeats.cells} covered cells, {repeats.cells_never_flagged} were never flagged and "
        f"{repeats.cells_flagged_almost_always} on at least {repeats.almost_always_means_share_of_days:.0%} of the days. "
        f"The most flagged cell (row {top.row}, column {top.column}) was flagged on "
        f"{_percent(top.share_of_days_flagged)} of the days and had an alert on {_percent(top.share_of_days_with_alert)}; "
        f"the longest run for one cell was {repeats.longest_run_days} days.",
    ]
    return "\n".join(lines) + "\n"


def _row(numbers: tuple[float | None, ...]) -> str:
    return " | ".join(_number(number) for number in numbers)


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:.3f}"


def _percent(share: float) -> str:
    return f"{share:.1%}"
