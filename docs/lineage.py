"""Draws the assets of one city and what each is built from: `python -m docs.lineage` writes the picture."""

from collections import defaultdict
from io import BytesIO

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from shotspotter_assets.cities.city import City
from shotspotter_assets.city_files import load_cities
from shotspotter_assets.settings import CHECKOUT
from shotspotter_assets.storage.catalogue import ALERTS, TRAINING, Asset
from shotspotter_assets.storage.stored_file import Whole

CITY = "simulated_city"  # it has every asset of a city
ALERTS_COLOUR = "#cfe3f3"
FOLDS_COLOUR = "#d8ecd0"
DAILY_COLOUR = "#fbe3c6"
BOX_WIDTH, BOX_HEIGHT, COLUMN, ROW = 2.3, 0.5, 2.9, 0.85
Places = dict[Asset, tuple[float, float]]  # upper left corners


def lineage(city: City) -> bytes:
    """Return an SVG of the city's assets as boxes, each to the right of its inputs, without arrows that others imply."""
    assets = [asset for asset in Asset if city.has(asset) and asset is not Asset.SHARED_MODELS]
    columns: dict[int, list[Asset]] = defaultdict(list)
    for asset in assets:
        columns[_depth(asset)].append(asset)
    tallest = max(map(len, columns.values()))
    places = _places(columns, tallest)
    # Letters as text keep the file small; the salt makes the same assets give the same file.
    fonts = ["DejaVu Sans", "Verdana", "Arial"]
    mpl.rcParams |= {"svg.hashsalt": "lineage", "svg.fonttype": "none", "font.sans-serif": fonts}
    width, height = len(columns) * COLUMN, tallest * ROW
    figure = Figure(figsize=(width * 0.62, height * 0.7))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.3, width), ylim=(height, -0.4))
    axes.axis("off")
    for asset in places:
        _draw(axes, asset, places)
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _parents(asset: Asset) -> list[Asset]:
    return [source for source, relation in asset.inputs.items() if relation is not Whole.APPROVALS]


def _nearest(asset: Asset) -> list[Asset]:
    """Return the inputs of an asset that no other input is made from."""
    parents = _parents(asset)
    return [parent for parent in parents if not any(parent in other.ancestors for other in parents)]


def _depth(asset: Asset) -> int:
    return max((_depth(parent) + 1 for parent in _parents(asset)), default=0)


def _is_of_folds(asset: Asset) -> bool:
    return asset in TRAINING or (bool(_parents(asset)) and all(parent in TRAINING for parent in _parents(asset)))


def _places(columns: dict[int, list[Asset]], tallest: int) -> Places:
    """Return the place of each asset's box: columns are centred, and assets of folds come first in theirs."""
    places: Places = {}
    for column, assets in sorted(columns.items()):
        top = (tallest - len(assets)) / 2
        nearest = _nearest(assets[0])
        if len(assets) == 1 and len(nearest) == 1:  # beside its only input, so that no arrow crosses it
            top = places[nearest[0]][1] / ROW
        for row, asset in enumerate(sorted(assets, key=lambda asset: (not _is_of_folds(asset), asset))):
            places[asset] = (column * COLUMN, (top + row) * ROW)
    return places


def _draw(axes: Axes, asset: Asset, places: Places) -> None:
    x, y = places[asset]
    colour = ALERTS_COLOUR if asset in ALERTS else DAILY_COLOUR
    if _is_of_folds(asset):
        colour = FOLDS_COLOUR
    axes.add_patch(FancyBboxPatch((x, y), BOX_WIDTH, BOX_HEIGHT, boxstyle="round,pad=0.05", fc=colour, ec="#555555"))
    axes.text(x + BOX_WIDTH / 2, y + BOX_HEIGHT / 2, str(asset), ha="center", va="center", fontsize=9)
    for parent in (parent for parent in _nearest(asset) if parent in places):
        from_x, from_y = places[parent]
        start = (from_x + BOX_WIDTH + 0.06, from_y + BOX_HEIGHT / 2)
        end = (x - 0.06, y + BOX_HEIGHT / 2)
        axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color="#777777", lw=0.9))


if __name__ == "__main__":
    (CHECKOUT / "docs" / "pictures" / "lineage.svg").write_bytes(lineage(load_cities()[CITY]))
