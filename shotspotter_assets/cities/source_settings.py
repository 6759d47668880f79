"""The settings of each kind of source in a city's file. `shotspotter_assets.sources` has the readers."""

import re
from typing import Annotated, Final, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

EPOCH_UNITS: Final = {"epoch_s": 1, "epoch_ms": 1000}
"""Values of `time_format` for numbers that count since 1970 in UTC, with how many make a second."""

MEGABYTE: Final = 2**20

NaiveTimes = Literal["reject", "local", "utc"]
"""The meaning of a time without a zone: unusable, on the city's wall clock, or in UTC."""


class StrictModel(BaseModel):
    """Part of a city's file: unknown keys are refused, and it is not changed after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(StrictModel):
    """Limits of one landed file, or of the answers of an API. Memory and time are those of the process that reads a file."""

    max_rows: int = Field(default=15_000_000, ge=1)
    max_answer_mb: int = Field(default=512, ge=1)
    """Megabytes of all unpacked answers of an API to one request for days."""
    memory_mb: int = Field(default=4_096, ge=64)
    seconds: float = Field(default=300, gt=0)


class Columns(StrictModel):
    """Names of the source's own columns, by what they hold; null for one that the source does not have.

    Rows of JSON may be nested: a name that no row has as it stands is a JMESPath expression (`location.lat`,
    `geometry.coordinates[0]`).
    """

    time: str
    time_of_day: str | None = None
    """Where `time` holds dates only and the clock time is in a column of its own."""
    longitude: str = "longitude"
    latitude: str = "latitude"
    gunshot_type: str | None = None
    rounds: str | None = None
    source_id: str | None = None

    def named(self) -> dict[str, str]:
        """The mapping without the columns that the source does not have."""
        return {ours: theirs for ours, theirs in self.model_dump().items() if theirs is not None}


class TabularSource(StrictModel):
    """Settings of every source that hands over rows with columns of its own."""

    columns: Columns
    time_format: str | None = None
    """How times are written as text: a `strptime` pattern, `epoch_s` or `epoch_ms`; null for ISO 8601 and the other
    usual forms (7/13/2018 11:58:53 PM, 13-Jul-18 23:58). Whether 7/8 is month/day or day/month is decided by all
    times of a file together, and is month/day where each of them could be both. Where `columns.time_of_day` is set,
    the pattern is that of date, blank and time of day."""
    naive_times: NaiveTimes = "reject"
    ignore_zone: bool = False
    """True if the zone of times is ignored, as the publisher stamps the city's wall clock as UTC (Z, +00:00, epoch numbers)."""
    crs: str | None = None
    """The system of the points where they are not WGS84 degrees: `EPSG:2248` for Maryland's feet, `EPSG:3857` for Web
    Mercator, or any other name in PROJ's database. `columns.longitude` is then its x (easting), `columns.latitude` its y."""

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
    """Files in a folder of their own below the landing root."""

    kind: Literal["landing"]
    folder: str | None = Field(default=None, pattern=r"^[^/\\.][^/\\]*(/[^/\\.][^/\\]*)*$")
    """Path below the landing root; null for the city's name. Two sources never share one."""
    file_date: str | None = Field(default=None, pattern="%Y")
    """`strptime` pattern of the local date in the names of daily files (`alerts_%Y%m%d`); null where
    files hold any days."""
    sheet: str | None = None
    """Name of the sheet of XLSX files; null for the first."""
    settle_seconds: float = Field(default=10.0, ge=0, le=3600)
    """A local file that was written to within these seconds is left for later, as its transfer may not be over.
    Objects on S3 appear whole and never wait."""


class SimulatedCitySource(StrictModel):
    """The embedded simulation."""

    kind: Literal["simulated"]
    seed: int = Field(default=0, ge=0)
    alerts_per_day: float = Field(default=20.0, gt=0, le=10_000)


class Patience(StrictModel):
    """Time-outs of an API, and how often it is asked again after 429, 5xx and broken answers."""

    connect_seconds: float = Field(default=10, gt=0)
    read_seconds: float = Field(default=60, gt=0)
    """Maximum silence within an answer."""
    answer_seconds: float = Field(default=300, gt=0)
    """Maximum time for one answer to arrive."""
    total_seconds: float = Field(default=1_800, gt=0)
    """Maximum time until the last page of the asked days has arrived."""
    retries: int = Field(default=5, ge=0, le=20)
    backoff_seconds: float = Field(default=1, ge=0)
    """First wait before asking again; each further one is doubled. As much jitter is added at random."""
    longest_wait_seconds: float = Field(default=120, gt=0)
    """Maximum wait, whatever the publisher asks for (Retry-After)."""


SECRET_NAME: Final = re.compile(
    r"(?i)token|secret|password|passwd|pwd|signature|credential|(?:api|access|subscription|auth)[-_]?key|^(?:key|sig|auth|code)$"
)
PLAIN_KEY: Final = re.compile(r"[\w:@]*\w")
"""A key that is looked up as it is; any other path is a JMESPath."""


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
"""The name of an environment variable."""


class ApiSource(TabularSource):
    """Settings of every source that is asked over HTTP; columns may be JMESPaths into a row."""

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
    """Further SoQL condition on the rows."""
    page_size: int = Field(default=50_000, ge=1, le=50_000)
    token_variable: Variable | None = None
    """Environment variable with the app token; without one the portal answers too, more slowly."""


class SentToken(StrictModel):
    """The environment variable of an API's token, and how the token is sent."""

    variable: Variable
    sent_as: Literal["header", "parameter"] = "header"
    name: str = "Authorization"
    prefix: str = "Bearer "
    """Put before the token in a header."""


class ArcgisSource(ApiSource):
    """A layer of an ArcGIS FeatureServer or MapServer. Plain columns are attributes; `geometry.x`, `.y` the point."""

    kind: Literal["arcgis"]
    layer: SafeUrl
    where: str | None = None
    """Further condition on the features."""
    token: SentToken | None = None
    """For a layer that needs a log-in; sent as `Authorization: Bearer`, or as the parameter that is named."""
    time_format: str | None = "epoch_ms"
    """The form in which ArcGIS writes date fields."""
    time_literal: Literal["timestamp", "date", "text"] = "timestamp"
    """How the layer's database needs times in conditions: `date` for some file geodatabases, `text` for SQL Server
    where the server's standardised queries are switched off."""
    page_size: int | None = Field(default=None, ge=1)
    """Features to ask for at a time; null for as many as the layer allows."""


class Paging(StrictModel):
    """How an alerts API returns more rows than fit one answer."""

    style: Literal["page", "offset", "cursor", "link_header"]
    parameter: str | None = None
    """Query parameter of the page, offset or cursor; null if it is named like the style."""
    first_page: int = Field(default=1, ge=0)
    size_parameter: str | None = None
    size: int = Field(default=500, ge=1)
    next: JmesPath | None = None
    """Path of the next cursor or of the next page's address. With pages and offsets: path of anything that is empty or
    false on the last page; null where a page without rows comes after the last."""

    @model_validator(mode="after")
    def _finds_the_next_cursor(self) -> Self:
        if self.style == "cursor" and self.next is None:
            raise ValueError("style cursor needs next: the JMESPath of the next cursor in an answer")
        return self


class AlertsApiSource(ApiSource):
    """A JSON API of alerts with a token. If a `source_id` has several versions, the latest is used."""

    kind: Literal["alerts_api"]
    url: SafeUrl
    """With `{first}` and `{last}`: the instants between which alerts are asked for (the second one excluded); either may
    be left out where the API has no such limit."""
    token: SentToken | None = None
    paging: Paging
    rows: JmesPath = "@"
    """Path of the list of alerts within an answer."""
    instant_format: str = "%Y-%m-%dT%H:%M:%SZ"
    """How instants are written into addresses, in UTC: a `strftime` pattern, `epoch_s` or `epoch_ms`."""
    longest_days: int | None = Field(default=None, ge=1)
    """Maximum number of days of one request; null for any number."""
    version: JmesPath | None = None
    """Path of the number or time of an alert's version; null where later answers hold later versions."""
    withdrawn: JmesPath | None = None
    """Path that is true for an alert that was withdrawn, such as `status == 'dismissed'`."""

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
