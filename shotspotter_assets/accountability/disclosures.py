"""Forms that others ask for, filled from an account: section of the model card, datasheet, UK transparency record."""

from collections.abc import Mapping, Sequence
from typing import Final

from shotspotter_assets.accountability.account import UNKNOWN, FigureTable, Section, find_figure
from shotspotter_assets.accountability.stored_sections import NOT_STATED
from shotspotter_assets.cities.city import City
from shotspotter_assets.evaluation.model_card import NOT_FOR
from shotspotter_assets.markdown import plain
from shotspotter_assets.serving.serving_record import ServingRecord
from shotspotter_assets.sources.day_table import DayTable
from shotspotter_assets.wording import number_of

CARD_SECTIONS: Final = ("outcomes", "plans", "burden")
NOT_FOR_IN_A_LINE: Final = " ".join(NOT_FOR.partition("\n")[2].replace("\n- ", " ").strip(" -\n").split())
"""Uses that the model card excludes."""


def card_section(sections: Sequence[Section]) -> str:
    """Return the section *Accountability* of the model card, in Markdown."""
    figures = [figure for section in sections if section.name in CARD_SECTIONS for figure in section.figures]
    statements = [
        row for section in sections for table in section.tables if table.name == "statements" for row in table.rows
    ]
    lines = [f"- {plain(figure.title)}: **{plain(figure.shown)}**. {plain(figure.sentence)}" for figure in figures]
    lines += [f"- {plain(str(subject))}: {plain(str(statement))}" for subject, statement in statements]
    return "\n".join(["## Accountability", "", *lines, ""])


def datasheet(city: City, table: DayTable, sections: Sequence[Section]) -> FigureTable:
    """Answer the questions of a datasheet (Gebru and others, Communications of the ACM 64(12), 2021) about the alerts."""
    days = [day for key, day in table.days.items() if city.start <= key and (city.end is None or key <= city.end)]
    stated = city.accountability.stated
    rows = sum(day.rows for day in days)
    rejected = sum(day.rejected for day in days)
    unknown = sum(not day.is_counted for day in days)
    kinds = ", ".join(sorted({source.kind for source in city.all_sources}))
    answers: dict[str, dict[str, str | None]] = {
        "Motivation": {
            "For what purpose was the dataset created?": stated.get("purpose"),
            "Who created the dataset?": stated.get("supplier"),
        },
        "Composition": {
            "What do the instances represent?": f"Published {city.event}s: a time, a point, and often a type. Not people.",
            "How many instances are there in total?": f"{rows:,} rows of {number_of(len(days), 'day')}.",
            "Does the dataset contain all possible instances?": "No: only what sensors or callers reported, and what the "
            "source published.",
            "Is there a label or target associated with each instance?": _shown(sections, "share_with_outcome"),
            "Is any information missing?": f"{number_of(unknown, 'day')} of {len(days):,} are not known, and count nowhere.",
            "Are there any errors, sources of noise, or redundancies?": f"{number_of(rejected, 'row')} could not be used; "
            "rejected.parquet has each with its reason, and checks name repeated rows.",
            "Does the dataset identify any subpopulations?": "No. An audit layer is joined by place, only to measure burden.",
        },
        "Collection": {
            "How was the data acquired?": f"From sources of the kind {kinds}; each row names its file or address.",
            "Over what timeframe was the data collected?": f"{city.start} to {max(table.days, default=city.start)}.",
            "Were the individuals in question notified?": None,
        },
        "Preprocessing": {
            "Was any cleaning of the data done?": "Times, points and types are read by rules of the city's file; copies "
            "and unusable rows are set aside.",
            "Was the raw data saved?": "Yes: raw_alerts holds the rows as received.",
        },
        "Uses": {
            "Are there tasks for which the dataset should not be used?": NOT_FOR_IN_A_LINE,
        },
        "Distribution": {
            "Will the dataset be distributed to third parties?": None,
        },
        "Maintenance": {
            "Who will be maintaining the dataset?": stated.get("owner"),
            "How can the manager of the dataset be contacted?": stated.get("contact"),
            "Will the dataset be updated?": "Each day; late and corrected rows replace earlier ones.",
            "Are there limits on the retention of the data?": stated.get("retention"),
        },
    }
    return _form("datasheet", "Datasheet of the alerts", answers)


def transparency_record(
    city: City, serving: ServingRecord | None, table: DayTable, sections: Sequence[Section]
) -> FigureTable:
    """Fill tier 2 of the UK's Algorithmic Transparency Recording Standard, by the names of its fields (version 3)."""
    stated = city.accountability.stated
    last_known = max((key for key, day in table.days.items() if day.is_counted), default=None)
    answers: dict[str, dict[str, str | None]] = {
        "Owner and responsibility": {
            "Organisation or department": stated.get("owner"),
            "Team": None,
            "Senior responsible owner": stated.get("responsible"),
            "External supplier involvement": stated.get("supplier"),
        },
        "Description and rationale": {
            "Detailed description": f"Each day the tool forecasts the chance of at least one published {city.event} in each "
            f"of {city.grid.rows} x {city.grid.columns} cells, for the next day and its hours.",
            "Scope": NOT_FOR_IN_A_LINE,
            "Benefit": stated.get("purpose"),
            "Previous process": None,
            "Alternatives considered": "Simple maps, such as each cell's mean; they are scored on the same days.",
        },
        "Decision making process": {
            "Process integration": "A list of places by shift, and a plan of units if the city's file has rules for one."
            if city.patrol is None
            else f"A plan places {sum(shift.units for shift in city.patrol.shifts)} units a day by shift.",
            "Provided information": "Chances and expected numbers with intervals and reasons, by cell, street and shift.",
            "Frequency and scale of usage": _shown(sections, "forecasts"),
            "Human decisions and review": "A person decides on each patrol; new models wait for a person's approval."
            if city.approval == "person"
            else "A person decides on each patrol; a gate decides which model serves.",
            "Required training": stated.get("training"),
            "Appeals and review": stated.get("appeals"),
        },
        "Tool specification": {
            "System architecture": "Assets in Dagster, from received rows to pages; docs/architecture.md.",
            "Phase": "Ended" if city.end else "Production",
            "Maintenance": "New models replace older ones as the section *changes* lists; checks watch data, scores and bounds.",
            "Model name": serving.served if serving else UNKNOWN,
            "Model version": serving.version if serving else UNKNOWN,
            "Model task": f"Probability of at least one {city.event} in a cell on the next day.",
            "Model input": ", ".join(serving.inputs) if serving else UNKNOWN,
            "Model output": "A probability, an expected number and an 80% interval for each cell.",
            "Model architecture": "Open source; each training's record names files, settings, data and versions by hash.",
            "Model performance": _shown(sections, "caught", "caught_by_simple_method", "gain"),
            "Datasets": f"{city.event.capitalize()}s of {city.shown_title} from {city.start} to {last_known or UNKNOWN}.",
            "Dataset purposes": _windows(serving) if serving else UNKNOWN,
            "Sensitive attributes": "None is an input. Shares of groups serve the audit of burden alone.",
            "Data completeness and representativeness": _shown(sections, "known_days", "unknown_days"),
            "Data sharing agreements": None,
            "Data access and storage": stated.get("retention"),
        },
        "Risks, mitigations and impact assessments": {
            "Impact assessment": stated.get("impact_assessment"),
            "Risks and mitigations": _shown(sections, "burden_ratio", "burden_difference"),
        },
    }
    return _form("transparency_record", "Transparency record, tier 2", answers)


def _form(name: str, title: str, answers: Mapping[str, Mapping[str, str | None]]) -> FigureTable:
    """Return the answers by section and question; one that is missing has to be stated by a person."""
    rows = (
        (section, question, answer or NOT_STATED) for section, of in answers.items() for question, answer in of.items()
    )
    return FigureTable(name=name, title=title, columns=("Section", "Question", "Answer"), rows=tuple(rows))


def _shown(sections: Sequence[Section], *names: str) -> str:
    """Return figures by name in words."""
    figures = filter(None, (find_figure(sections, name) for name in names))
    return " ".join(f"{figure.title}: {figure.shown}. {figure.sentence}" for figure in figures) or UNKNOWN


def _windows(serving: ServingRecord) -> str:
    """Return the windows of a training in words."""
    first, last = serving.train
    return f"Training {first} to {last}, validation {serving.validation[0]} to {serving.validation[1]}."
