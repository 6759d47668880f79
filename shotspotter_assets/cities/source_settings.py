"""Settings of each kind of source in a city's file."""

import re
from typing import Annotated, Final, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

EPOCH_UNITS: Final = {"epoch_s": 1, "epoch_ms": 1000}
"""Units per second of the `time_format` values for numbers since 1970 in UTC."""
MEGABYTE: Final = 2**20
NaiveTimes = Literal["reject", "local", "utc"]
"""Meaning of a time without a zone: unusable, on the city's wall clock, or in UTC."""


class StrictModel(BaseModel):
    """Frozen part of a city's file that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(StrictModel):
    """Limits of one landed file or an API's answers. Memory and time are those of the reading process."""

    max_rows: int = Field(default=15_000_000, ge=1)
    max_answer_mb: int = Field(default=512, ge=1)
    """Maximum of all unpacked answers of an API to one request for days."""
    memory_mb: int = Field(default=4_096, ge=64)
    seconds: float = Field(default=300, gt=0)


class Columns(StrictModel):
    """Names of the source's columns; null for one that the source does not have.

    Nested JSON is reached by JMESPath expressions (`location.lat`, `geometry.coordinates[0]`).
    """

    time: str
    time_of_day: str | None = None
    """Clock time, if `time` holds dates only."""
    longitude: str = "longitude"
    latitude: str = "latitude"
    gunshot_type: str | None = None
    rounds: str | None = None
    source_id: str | None = None

    def named(self) -> dict[str, str]:
        return {ours: theirs for ours, theirs in self.model_dump().items() if theirs is not None}


class TabularSource(StrictModel):
    """Settings of sources whose rows have their own columns."""

    columns: Columns
    time_format: str | None = None
    """Form of times: a `strptime` pattern, `epoch_s` or `epoch_ms`; null for ISO 8601 and the other usual forms
    (7/13/2018 11:58:53 PM, 13-Jul-18 23:58). All times of a file together decide between month/day and day/month;
    month/day wins a tie. With `columns.time_of_day`, the pattern is that of date, blank and time of day."""
    naive_times: NaiveTimes = "reject"
    ignore_zone: bool = False
    """True if the publisher stamps the city's wall clock as UTC (Z, +00:00, epoch numbers)."""
    crs: str | None = None
    """System of points that are not WGS84 degrees, from PROJ's database: `EPSG:2248` for Maryland's feet, `EPSG:3857`
    for Web Mercator. `columns.longitude` is then x (easting), `columns.latitude` y."""

    @field_validator("crs")
    @classmethod
    def _is_a_known_system(cls, value: str | None) -> str | None:
        if value is not None:
            from pyproj import CRS
            from pyproj.exceptions import CRSError

            try:
                CRS.from_user_input(value)
            except CRSError:
                raise ValueError(f"{value!r} is no coordinate system in PROJ's database (allowed: EPSG:2248)") from None
        return value

    @model_validator(mode="after")
    def _times_have_one_meaning(self) -> Self:
        if self.ignore_zone and self.naive_times != "local":
            raise ValueError("ignore_zone needs naive_times: local, which is what the times then are")
        return self


class LandingSource(TabularSource):
    """Files in a folder below the landing root."""

    kind: Literal["landing"]
    folder: str | None = Field(default=None, pattern=r"^[^/\\.][^/\\]*(/[^/\\.][^/\\]*)*$")
    """Path below the landing root; null for the city's name. No two sources share one."""
    file_date: str | None = Field(default=None, pattern="%Y")
    """`strptime` pattern of the local date in daily files' names (`alerts_%Y%m%d`); null for files of any days."""
    sheet: str | None = None
    """Sheet of XLSX files; null for the first."""
    settle_seconds: float = Field(default=10.0, ge=0, le=3600)
    """Age below which a local file is left for later, as its transfer may not be over. S3 objects never wait."""


class SimulatedCitySource(StrictModel):
    """The embedded simulation."""

    kind: Literal["simulated"]
    seed: int = Field(default=0, ge=0)
    alerts_per_day: float = Field(default=20.0, gt=0, le=10_000)


class Patience(StrictModel):
    """Time-outs of an API, and retries after 429, 5xx and broken answers."""

    connect_seconds: float = Field(default=10, gt=0)
    read_seconds: float = Field(default=60, gt=0)
    """Maximum silence within an answer."""
    answer_seconds: float = Field(default=300, gt=0)
    """Maximum time for one answer to arrive."""
    total_seconds: float = Field(default=1_800, gt=0)
    """Maximum time until the last page has arrived."""
    retries: int = Field(default=5, ge=0, le=20)
    backoff_seconds: float = Field(default=1, ge=0)
    """First wait before a retry, doubled each time, with as much random jitter added."""
    longest_wait_seconds: float = Field(default=120, gt=0)
    """Maximum wait, whatever the publisher asks for (Retry-After)."""


SECRET_NAME: Final = re.compile(
    r"(?i)token|secret|password|passwd|pwd|signature|credential|(?:api|access|subscription|auth)[-_]?key|^(?:key|sig|auth|code)$"
)
PLAIN_KEY: Final = re.compile(r"[\w:@]*\w")
"""A literal key; any other path is a JMESPath."""


def _is_safe(url: str) -> str:
    parts = urlsplit(url)
    is_local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not parts.hostname or (parts.scheme != "https" and not (parts.scheme == "http" and is_local)):
        raise ValueError("must be an https:// address (http:// only for this machine's own)")
    if parts.username or parts.password:
        raise ValueError("must not hold a user or password; name an environment variable as the token's instead")
    secrets = [name for name, value in parse_qsl(parts.query) if SECRET_NAME.search(name) and value[:1] != "{"]
    if secrets:
        raise ValueError(
            f"must not hold a secret in its query ({', '.join(secrets)}); put it into an environment variable and write "
            f"token: {{variable: GATEWAY_TOKEN, sent_as: parameter, name: {secrets[0]}}} (token_variable for socrata)"
        )
    return url


def _is_path(path: str) -> str:
    import jmespath

    if not PLAIN_KEY.fullmatch(path):
        try:
            jmespath.compile(path)
        except jmespath.exceptions.JMESPathError as error:
            raise ValueError(f"{path!r} is not a JMESPath: {' '.join(str(error).split())}") from None
    return path


SafeUrl = Annotated[str, AfterValidator(_is_safe)]
JmesPath = Annotated[str, AfterValidator(_is_path)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""Name of an environment variable."""


class ApiSource(TabularSource):
    """Settings of sources asked over HTTP; columns may be JMESPaths into a row."""

    patience: Patience = Patience()

    @field_validator("columns")
    @classmethod
    def _has_paths(cls, value: Columns) -> Columns:
        for path in value.named().values():
            _is_path(path)
        return value


class SocrataSource(ApiSource):
    """A data set of a Socrata portal, asked through SODA 2."""

    kind: Literal["socrata"]
    domain: SafeUrl
    dataset: str = Field(pattern=r"^[a-z0-9]{4}-[a-z0-9]{4}$")
    where: str | None = None
    """Further SoQL condition."""
    page_size: int = Field(default=50_000, ge=1, le=50_000)
    token_variable: Variable | None = None
    """Environment variable with the app token; optional, but the portal is slower without one."""


class SentToken(StrictModel):
    """Environment variable of an API's token, and the way of sending it."""

    variable: Variable
    sent_as: Literal["header", "parameter"] = "header"
    name: str = "Authorization"
    prefix: str = "Bearer "
    """Text before the token in a header."""


class ArcgisSource(ApiSource):
    """A layer of an ArcGIS FeatureServer or MapServer; columns are attributes, or `geometry.x` and `geometry.y`."""

    kind: Literal["arcgis"]
    layer: SafeUrl
    where: str | None = None
    token: SentToken | None = None
    """Log-in of the layer; sent as `Authorization: Bearer`, or as the named parameter."""
    time_format: str | None = "epoch_ms"
    """ArcGIS's form of date fields."""
    time_literal: Literal["timestamp", "date", "text"] = "timestamp"
    """Literal of times in conditions: `date` for some file geodatabases, `text` for SQL Server without standard queries."""
    page_size: int | None = Field(default=None, ge=1)
    """Null for the layer's maximum."""


class Paging(StrictModel):
    """Pages of an alerts API."""

    style: Literal["page", "offset", "cursor", "link_header"]
    parameter: str | None = None
    """Query parameter of the page, offset or cursor; null for the style's own name."""
    first_page: int = Field(default=1, ge=0)
    size_parameter: str | None = None
    size: int = Field(default=500, ge=1)
    next: JmesPath | None = None
    """Path of the next cursor or page address. With pages and offsets: path of a value that is empty or false on the
    last page; null if an empty page comes after the last."""

    @model_validator(mode="after")
    def _finds_the_next_cursor(self) -> Self:
        if self.style == "cursor" and self.next is None:
            raise ValueError("style cursor needs next: the JMESPath of the next cursor in an answer")
        return self


class AlertsApiSource(ApiSource):
    """A JSON API of alerts with a token. The latest version of a `source_id` counts."""

    kind: Literal["alerts_api"]
    url: SafeUrl
    """Address; optional `{first}` and `{last}` are the instants between which alerts are asked for (last excluded)."""
    token: SentToken | None = None
    paging: Paging
    rows: JmesPath = "@"
    """Path of an answer's list of alerts."""
    instant_format: str = "%Y-%m-%dT%H:%M:%SZ"
    """Form of instants in addresses, in UTC: a `strftime` pattern, `epoch_s` or `epoch_ms`."""
    longest_days: int | None = Field(default=None, ge=1)
    """Maximum days of one request; null for any number."""
    version: JmesPath | None = None
    """Path of an alert's version, a number or time; null if later answers hold later versions."""
    withdrawn: JmesPath | None = None
    """Path that is true for a withdrawn alert, such as `status == 'dismissed'`."""

    @model_validator(mode="after")
    def _fills_in_known_instants(self) -> Self:
        if self.version and self.columns.source_id is None:
            raise ValueError("alerts with a version need columns.source_id")
        unknown = set(re.findall(r"{\w*}", self.url)) - {"{first}", "{last}"}
        if unknown:
            raise ValueError(f"url has {', '.join(sorted(unknown))} (allowed: {{first}}, {{last}})")
        return self


Source = Annotated[
    LandingSource | SimulatedCitySource | SocrataSource | ArcgisSource | AlertsApiSource, Field(discriminator="kind")
]
