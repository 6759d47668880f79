"""What one file or answer from outside may take before it is refused."""

from pydantic import Field

from shotspotter_assets.cities.source_settings import StrictModel

MEGABYTE = 2**20


class Limits(StrictModel):
    """Limits of one landed file, or of one answer of an API; generous for alerts, and a city's file may raise them.

    Memory and time are those of the process that reads the file.
    """

    max_rows: int = Field(default=15_000_000, ge=1)
    max_cells: int = Field(default=20_000_000, ge=1)
    """Values of an API's answer."""
    max_expanded_mb: int = Field(default=1_024, ge=1)
    """Megabytes of a file."""
    max_answer_mb: int = Field(default=256, ge=1)
    """Megabytes of one answer of an API once it is unpacked; all that a reading asks for together may have
    `max_expanded_mb`."""
    memory_mb: int = Field(default=4_096, ge=64)
    """Megabytes of memory for the reading of one file."""
    seconds: float = Field(default=300, gt=0)
    """For the reading of one file."""

    def expanded_bytes(self) -> int:
        """`max_expanded_mb` in bytes."""
        return self.max_expanded_mb * MEGABYTE
