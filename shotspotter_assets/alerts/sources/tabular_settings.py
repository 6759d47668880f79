"""Settings of sources whose rows have their own columns, points and forms of time, and paths to values in rows of JSON."""

import re
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, Field, SerializeAsAny, field_validator, model_validator

from shotspotter_assets.alerts.sources.alert_source import Access, AlertSource
from shotspotter_assets.cities.city import Day
from shotspotter_assets.cities.source_settings import Site, SourceSettings
from shotspotter_assets.cities.strict_model import StrictModel

Row = dict[str, Any]  # a row of JSON
PLAIN_KEY: Final = re.compile(r"[\w:@]*\w")  # a literal key; any other path is a JMESPath


def finder(path: str, keys: Collection[str] = ()) -> Callable[[Any], Any]:
    """Return a function that looks up a plain key, one of `keys`, or a JMESPath in a row; it returns None for nothing."""
    if path not in keys and not PLAIN_KEY.fullmatch(path):
        with suppress(ValueError):  # of a name with blanks, which these rows do not have
            return _search(path)
    return lambda row: row.get(path) if isinstance(row, dict) else None


def check_path(path: str) -> str:
    """Return a path to a value; raise ValueError if it is neither a plain key nor a JMESPath."""
    if not PLAIN_KEY.fullmatch(path):
        _search(path)
    return path


def _search(path: str) -> Callable[[Any], Any]:
    """Return a function that looks up a JMESPath, None for nothing; raise ValueError if the path is not one."""
    import jmespath

    try:
        compiled = jmespath.compile(path)
    except jmespath.exceptions.JMESPathError as error:
        raise ValueError(f"{path!r} is not a JMESPath: {' '.join(str(error).split())}") from None

    def search(content: Any) -> Any:
        try:
            return compiled.search(content)
        except (jmespath.exceptions.JMESPathError, TypeError):  # A function of the path does not take this type.
            return None

    return search


JmesPath = Annotated[str, AfterValidator(check_path)]


EPOCH_UNITS: Final = {"epoch_s": 1, "epoch_ms": 1000}  # units per second by `time_format`
NaiveTimes = Literal["reject", "local", "utc"]  # times without a zone: unusable, the city's, or UTC
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]  # name of an environment variable


class Columns(StrictModel):
    """Names of the source's columns, or JMESPaths (`location.lat`, `point[0]`); null for one that it does not have."""

    time: str
    time_of_day: str | None = None  # clock time, if `time` holds dates only
    longitude: str | None = "longitude"  # alerts need both
    latitude: str | None = "latitude"
    gunshot_type: str | None = None
    rounds: str | None = None
    source_id: str | None = None

    def named(self) -> dict[str, str]:
        """Return the source's names by ours, without those that it does not have."""
        columns = {ours: getattr(self, ours) for ours in Columns.model_fields}
        return {ours: theirs for ours, theirs in columns.items() if theirs is not None}


class EveryColumn(Columns):
    """All columns of a file, for those who look for the ones of time and place."""

    time: str = ""

    def named(self) -> dict[str, str]:
        """Return nothing: readers then return every column that a file has once."""
        return {}


class SideColumns(Columns):
    """Columns of a side table: those of time, place and id, and further ones."""

    further: dict[str, str]
    further_times: tuple[str, ...]  # our names of further columns that hold times

    def named(self) -> dict[str, str]:
        """Return the source's names by ours, of the further columns too."""
        return super().named() | self.further


class TabularSettings(SourceSettings):
    """Settings of sources whose rows have their own columns."""

    row_rules: ClassVar = ("naive_times", "ignore_zone", "crs", "equal_rows")
    columns: SerializeAsAny[Columns]
    time_format: str | None = None
    """Form of times: a `strptime` pattern, `epoch_s` or `epoch_ms`; null for ISO 8601 and the other usual forms
    (7/13/2018 11:58:53 PM, 13-Jul-18 23:58). All times of a file together decide between month/day and day/month;
    month/day wins a tie. With `columns.time_of_day`, the pattern is that of date, blank and time of day."""
    naive_times: NaiveTimes = "reject"
    ignore_zone: bool = False  # True if the publisher stamps the city's wall clock as UTC (Z, +00:00, epoch numbers)
    crs: str | None = None
    """System of points that are not WGS84 degrees, from PROJ's database: `EPSG:2248` for Maryland's feet, `EPSG:3857`
    for Web Mercator. `columns.longitude` is then x (easting), `columns.latitude` y."""
    equal_rows: Literal["if_rounded", "keep", "drop"] = "if_rounded"
    """Equal rows without an id in one file or answer: separate events (`keep`), one event (`drop`), or separate where
    their time is a whole minute or their point has three decimals at most."""

    @property
    def side_columns(self) -> SideColumns | None:
        """Columns of a side table; None for a source of alerts."""
        return self.columns if isinstance(self.columns, SideColumns) else None

    @property
    def has_types(self) -> bool:
        """True if the city's file names a column with gunshot types."""
        return self.columns.gunshot_type is not None

    @field_validator("crs")
    @classmethod
    def _is_a_known_system(cls, value: str | None) -> str | None:
        if value is not None:
            from pyproj import CRS
            from pyproj.exceptions import CRSError

            try:
                CRS.from_user_input(value)
            except CRSError:
                raise ValueError(
                    f"{value!r} is not a coordinate system in PROJ's database (allowed: EPSG:2248)"
                ) from None
        return value

    @model_validator(mode="after")
    def _times_have_one_meaning(self) -> Self:
        if self.ignore_zone and self.naive_times != "local":
            raise ValueError("ignore_zone needs naive_times: local, because the times are then local")
        return self


class Patience(StrictModel):
    """Time-outs of an API, and retries after 429, 5xx and broken answers."""

    answer_seconds: float = Field(default=300, gt=0)  # maximum time for one answer to arrive
    retries: int = Field(default=5, ge=0, le=20)

    @property
    def total_seconds(self) -> float:
        """Maximum time until the last page has arrived, retries included."""
        return self.answer_seconds * (self.retries + 1)


class SentToken(StrictModel):
    """Environment variable of an API's token, and the way of sending it."""

    variable: Variable
    sent_as: Literal["header", "parameter"] = "header"
    name: str = "Authorization"
    prefix: str = "Bearer "  # text before the token in a header


class ApiSettings(TabularSettings):
    """Settings of sources asked over HTTP; columns may be JMESPaths into a row."""

    arrival: ClassVar = "polled"
    since: Day | None = None  # first day asked for; null for `start`; other sources have the days before it
    patience: Patience = Patience()

    @field_validator("columns")
    @classmethod
    def _has_paths(cls, value: Columns) -> Columns:
        for path in value.named().values():
            check_path(path)
        return value


class LandingSettings(TabularSettings):
    """Files in `landing/<city>/`, local or on S3: Parquet, CSV, JSON lines, GeoJSON, XLSX, zipped shapefile."""

    kind: Literal["landing"]
    arrival: ClassVar = "landed"
    folder: str | None = Field(default=None, pattern=r"^[^/\\.][^/\\]*(/[^/\\.][^/\\]*)*$")
    """Path below the landing root; null for the city's name. No two sources share one."""
    path: Path | None = None  # folder of files beside the city's file, instead of a folder below the landing root
    file_date: str | None = Field(default=None, pattern="%Y")  # form of the date in daily files' names; or null
    sheet: str | None = None  # sheet of XLSX files; null for the first
    settle_seconds: float = Field(default=10.0, ge=0, le=3600)  # minimum age of a local file

    def beside(self, folder: Path) -> Self:
        """Return the settings with the whole path of a folder beside the city's file."""
        if self.path is None:
            return self
        path = folder / self.path.expanduser()
        if not path.is_dir():
            raise ValueError(f"{path} does not exist")
        return self.model_copy(update={"path": path})

    def open(self, site: Site, access: Access) -> AlertSource:
        """Return the reader of the folder `path`, or of the source's folder below the landing root."""
        from shotspotter_assets.alerts.sources.landing.folder import LandingFolder

        folder = str(self.path or f"{access.landing_root.rstrip('/')}/{self.folder or site.name}")
        return LandingFolder(site, self, folder, access.store, access.s3_client)
