"""Parts of widgets: options, figures, tables of scores, and settings of a forecaster."""

import html
from collections.abc import Sequence
from typing import Any, Final

import ipywidgets as ipw
import pyarrow as pa
from plotly import graph_objects as go
from pydantic import BaseModel

from shotspotter_assets.evaluation.forecasts_table import observed_of
from shotspotter_assets.explore.figures import reference_of, scores_of

WIDE: Final = {"style": {"description_width": "110px"}}


def set_options(widget: Any, options: Sequence[Any], wanted: Any = None) -> None:
    """Offer options and choose the wanted one, else keep the chosen one if possible; "-" without any."""
    before, values = wanted or widget.value, [one[1] if isinstance(one, tuple) else one for one in options]
    widget.options = list(options) or ["-"]
    widget.disabled = not options
    widget.value = before if before in values else (values or ["-"])[0]


def draw(box: ipw.Box, figure: go.Figure | None) -> None:
    """Show a figure in a new widget: one that is reused keeps the axes of the city before."""
    before = box.children
    box.children = [] if figure is None else [go.FigureWidget(figure)]
    for widget in before:
        widget.close()


def sentence(text: str, colour: str = "inherit") -> str:
    """Write a text as HTML."""
    return f'<span style="color: {colour}; line-height: 1.4">{html.escape(text)}</span>'


def score_table_html(title: str, table: pa.Table, note: str = "") -> str:
    """Write the scores of a forecasts table as HTML."""
    size = f"{len(table):,} cells and periods, {int(observed_of(table).sum()):,} with an alert"
    heading = html.escape(f"{title} of {size}{note}; the reference is {reference_of(table)}")
    return f"<b>{heading}</b>{scores_of(table).to_html(index=False, border=0, justify='left')}"


def setting_widget(settings: BaseModel, name: str) -> Any:
    """Return a widget that changes a setting of a forecaster; items of lists are written with commas between them."""
    value, tooltip = getattr(settings, name), type(settings).model_fields[name].description or ""
    of: dict[str, Any] = {"description": name, "tooltip": tooltip, **WIDE}
    match value:
        case bool():
            return ipw.Checkbox(value, indent=False, **of)
        case int():
            return ipw.IntText(value, **of)
        case float():
            return ipw.FloatText(value, step=None, **of)
        case _:
            return ipw.Text(", ".join(map(str, value)), **of)


def widget_value(widget: Any) -> Any:
    """Read the widget of a setting."""
    return (
        [item.strip() for item in widget.value.split(",") if item.strip()]
        if isinstance(widget, ipw.Text)
        else widget.value
    )
