"""Draws the gains of a Markdown table with intervals: `python benchmarks/reports/gains_figure.py TABLE.md OUT.svg`.

The table is that of `benchmarks/next_day.py --summary`: the first column names the row, and cells such as
`+0.020 (+0.006, +0.033)` below a heading that starts with "gain" are drawn.
"""

import argparse
import re
from itertools import takewhile
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

CELL = re.compile(r"([+-][\d.]+) \(([+-][\d.]+), ([+-][\d.]+)\)")
COLOURS = ("#1f77b4", "#ff7f0e")


def main() -> None:
    """Read the first table that has gains, and write the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    lines = [line.strip("| ").split("|") for line in asked.table.read_text().splitlines() if line.startswith("|")]
    at = next(number for number, cells in enumerate(lines) if any(cell.strip().startswith("gain") for cell in cells))
    rows = list(takewhile(lambda cells: any(map(CELL.search, cells)), lines[at + 2 :]))
    columns = [number for number, cell in enumerate(lines[at]) if cell.strip().startswith("gain")]
    mpl.rcParams |= {"svg.hashsalt": "gains", "svg.fonttype": "none"}
    figure = Figure(figsize=(7, 0.36 * len(rows) + 1))
    axes = figure.add_axes((0.24, 0.15, 0.73, 0.75))
    axes.axvline(0, color="#777777", linewidth=0.8)
    for shift, (number, colour) in enumerate(zip(columns, COLOURS, strict=False)):
        found = [CELL.search(cells[number]) for cells in rows]
        values = [tuple(map(float, cell.groups())) for cell in found if cell is not None]
        mean, low, high = zip(*values, strict=True)
        errors = [[m - a for m, a in zip(mean, low, strict=True)], [b - m for m, b in zip(mean, high, strict=True)]]
        places = [place + 0.2 * shift for place in range(len(rows))]
        axes.errorbar(mean, places, xerr=errors, fmt="o", markersize=4, color=colour, label=lines[at][number].strip())
    axes.set_yticks([place + 0.1 for place in range(len(rows))], [cells[0].strip() for cells in rows])
    axes.invert_yaxis()
    axes.set_xlabel("nats per positive; the bar is the 90% interval")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
    figure.savefig(asked.out, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
