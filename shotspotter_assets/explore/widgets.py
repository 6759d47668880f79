"""What the views of the notebook share: figures that change in place, tables, choices that change without being drawn twice."""

import html
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import ipywidgets as ipw
import pandas as pd
from plotly import graph_objects as go

from shotspotter_assets.explore.score_rows import ScoreRow
from shotspotter_assets.explore.small_fold import Parameter

WIDE: Final = {"description_width": "110px"}

TITLES: Final = {
    "model": "model",
    "log_loss": "log loss",
    "gain": "gain over the reference (90% interval)",
    "average_precision": "average precision",
    "hit_rate_5": "hit rate at 5% of the area",
    "predicted_over_observed": "predicted / observed",
}


class View:
    """Widgets below each other, whose changes are heard unless they are made by the view itself."""

    def __init__(self, children: Sequence[Any]) -> None:
        self.widget = ipw.VBox(children)
        self._is_quiet = False

    def _repr_mimebundle_(self, **how: Any) -> Any:
        """Called by IPython to show it."""
        return self.widget._repr_mimebundle_(**how)

    def hear(self, widget: Any, then: Callable[[], None]) -> None:
        """Call `then` when somebody changes the value of a widget."""
        widget.observe(lambda _: None if self._is_quiet else then(), "value")

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Changes in here call nothing."""
        before, self._is_quiet = self._is_quiet, True
        try:
            yield
        finally:
            self._is_quiet = before


def set_options(widget: Any, options: Sequence[Any]) -> None:
    """New options, of which the chosen one stays chosen if it is among them; "-" where there is none."""
    before, values = widget.value, [one[1] if isinstance(one, tuple) else one for one in options]
    widget.options = list(options) or ["-"]
    widget.disabled = not options
    widget.value = before if before in values else (values or ["-"])[0]


def redraw(shown: go.FigureWidget, figure: go.Figure) -> None:
    """Show another figure in the same widget."""
    shown.data = ()
    shown.add_traces(figure.data)
    shown.layout = figure.layout


def sentence(text: str, colour: str = "inherit") -> str:
    """HTML of a text."""
    return f'<span style="color: {colour}; line-height: 1.4">{html.escape(text)}</span>'


def score_table(title: str, rows: Sequence[ScoreRow]) -> str:
    """HTML of scores."""
    table = pd.DataFrame([vars(row) for row in rows]).rename(columns=TITLES)
    return f"<b>{html.escape(title)}</b>{table.to_html(index=False, border=0, justify='left')}"


def parameter_widget(parameter: Parameter) -> Any:
    """Where a setting of a forecaster can be changed."""
    of = {"description": parameter.name, "tooltip": parameter.description, "style": WIDE}
    match parameter.value:
        case bool():
            return ipw.Checkbox(parameter.value, indent=False, **of)
        case int():
            return ipw.IntText(parameter.value, **of)
        case float():
            return ipw.FloatText(parameter.value, step=None, **of)
        case _:
            return ipw.Text(", ".join(map(str, parameter.value)), **of)


def parameter_value(parameter: Parameter, widget: Any) -> Any:
    """What is set in the widget of a setting; lists are written with commas between their items."""
    if isinstance(parameter.value, bool | int | float):
        return widget.value
    return [item.strip() for item in widget.value.split(",") if item.strip()]
