"""A data check: one function from a `Window` to a `Finding`, with the columns that it reads."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shotspotter_assets.quality.finding import Finding

if TYPE_CHECKING:
    from shotspotter_assets.quality.window import Window

Columns = Collection[str]
Function = Callable[["Window"], Finding]


@dataclass(frozen=True)
class Check:
    """A check with the columns that it reads, by table of the window."""

    function: Function
    columns: Mapping[str, Columns]

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def meaning(self) -> str:
        """First line of the function's docstring."""
        return (self.function.__doc__ or "").partition("\n")[0]

    def __call__(self, window: "Window") -> Finding:
        return self.function(window)


def check(*, alerts: Columns = (), raw: Columns = (), rejected_rows: Columns = ()) -> Callable[[Function], Check]:
    """Turn a function into a check that reads these columns of the window's tables, and their `date`."""
    columns = {"alerts": alerts, "raw": raw, "rejected_rows": rejected_rows}
    return lambda function: Check(function, columns)
