"""A box in degrees and the grid that it is cut into, without heavy imports."""

from typing import TYPE_CHECKING, Final, Protocol

from pydantic import BaseModel, Field, model_validator

if TYPE_CHECKING:
    from shotspotter_assets.storage.arrays import Array, Booleans

WGS84: Final = "EPSG:4326"  # coordinate system of longitude and latitude
Edges = tuple[float, float, float, float]  # west, south, east and north, in WGS84 degrees
MAX_CELLS: Final = 40_000  # training on years of more cells takes more memory than usual machines have


class Box(BaseModel, frozen=True, extra="forbid"):
    """Bounding box of a grid, in WGS84 degrees; all four edges belong to it."""

    west: float = Field(ge=-180, le=180)
    south: float = Field(ge=-90, le=90)
    east: float = Field(ge=-180, le=180)
    north: float = Field(ge=-90, le=90)

    @model_validator(mode="after")
    def _has_ordered_edges(self) -> "Box":
        if self.west >= self.east:
            hint = "; longitudes in America have a minus sign" if self.west > 0 else ""
            raise ValueError(f"west ({self.west}) must be less than east ({self.east}){hint}")
        if self.south >= self.north:
            raise ValueError(f"south ({self.south}) must be less than north ({self.north})")
        return self

    @property
    def edges(self) -> Edges:
        """West, south, east and north, in WGS84 degrees."""
        return self.west, self.south, self.east, self.north

    def holds(self, longitude: "Array", latitude: "Array") -> "Booleans":
        """Flag points (degrees) within the box, NaN outside; same shape."""
        along = (longitude >= self.west) & (longitude <= self.east)
        return along & (latitude >= self.south) & (latitude <= self.north)

    def is_far(self, longitude: "Array", latitude: "Array") -> "Booleans":
        """Flag points (degrees) further from the box than it is wide or high, NaN not; same shape."""
        width = self.east - self.west
        height = self.north - self.south
        along = (longitude < self.west - width) | (longitude > self.east + width)
        return along | (latitude < self.south - height) | (latitude > self.north + height)


class Grid(BaseModel, frozen=True, extra="forbid"):
    """Number of equal rows (south to north) and columns (west to east) that the box is cut into."""

    rows: int = Field(default=36, ge=2, le=500)
    columns: int = Field(default=36, ge=2, le=500)

    @model_validator(mode="after")
    def _fits_into_memory(self) -> "Grid":
        if self.rows * self.columns > MAX_CELLS:
            raise ValueError(f"{self.rows} x {self.columns} are more than {MAX_CELLS:,} cells (allowed: 200 x 200)")
        return self

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return self.rows, self.columns


class Gridded(Protocol):
    """A box cut into a grid: all that the geometry of cells reads of a city."""

    @property
    def box(self) -> Box: ...
    @property
    def grid(self) -> Grid: ...
