"""Settings of all sources that are asked over HTTP."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from shotspotter_assets.cities.strict_model import StrictModel
from shotspotter_assets.sources.json_rows import check_path
from shotspotter_assets.sources.tabular_settings import Columns, TabularSettings

Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""Name of an environment variable."""


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


class SentToken(StrictModel):
    """Environment variable of an API's token, and the way of sending it."""

    variable: Variable
    sent_as: Literal["header", "parameter"] = "header"
    name: str = "Authorization"
    prefix: str = "Bearer "
    """Text before the token in a header."""


class ApiSettings(TabularSettings):
    """Settings of sources asked over HTTP; columns may be JMESPaths into a row."""

    arrival: ClassVar = "polled"
    patience: Patience = Patience()

    @field_validator("columns")
    @classmethod
    def _has_paths(cls, value: Columns) -> Columns:
        for path in value.named().values():
            check_path(path)
        return value
