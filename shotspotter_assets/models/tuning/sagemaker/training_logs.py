"""The lines of the training jobs of a tuning job, out of CloudWatch, as they come: in pages, late and out of order."""

from dataclasses import dataclass, field
from typing import Any, Final

from botocore.exceptions import ClientError

from shotspotter_assets.models.tuning.sagemaker.service import PATIENCE_S, Patient, error_code

LOG_GROUP: Final = "/aws/sagemaker/TrainingJobs"
LATE_MS: Final = 5 * 60_000
"""Lines may come so much later than lines that are newer."""


@dataclass(frozen=True, order=True)
class Line:
    """One line: when it was printed in ms since 1970, its place among lines of the same time, its training job and text."""

    at: int
    number: int
    job: str
    text: str


@dataclass
class TrainingLogs:
    """Reads the lines of all training jobs whose names start alike, each line once.

    Attributes:
        client: of CloudWatch Logs.
        start: of the names.
        since: ms since 1970, before which there is no line.
    """

    client: Any
    start: str
    since: int
    patience_s: float = PATIENCE_S
    _seen: set[tuple[str, str]] = field(default_factory=set)
    _newest: int = 0

    def new_lines(self, again: bool = False) -> list[Line]:
        """The lines that have come since the last look, in the order in which they were printed.

        Args:
            again: whether to look as far back as the first line, not only `LATE_MS` before the newest one.
        """
        since = self.since if again else max(self.since, self._newest - LATE_MS)
        lines: list[Line] = []
        for event in self._events(since):
            stream, key = event["logStreamName"], (event["logStreamName"], event["eventId"])
            if key in self._seen or not stream.startswith(self.start):
                continue
            self._seen.add(key)
            self._newest = max(self._newest, event["timestamp"])
            job = stream.partition("/")[0]
            lines.append(Line(event["timestamp"], len(lines), job, event["message"].rstrip()))
        return sorted(lines)

    def _events(self, since: int) -> list[dict[str, Any]]:
        # One request for all streams, as CloudWatch allows few in a second. A page may be empty and not be the last.
        wanted: dict[str, Any] = {"logGroupName": LOG_GROUP, "logStreamNamePrefix": self.start, "startTime": since}
        ask = Patient(self.patience_s)
        events: list[dict[str, Any]] = []
        while True:
            try:
                page = ask(self.client.filter_log_events, **wanted)
            except ClientError as error:
                if error_code(error) == "ResourceNotFoundException":
                    return events  # the group is made with the account's first training job
                raise
            events += page.get("events", [])
            if not page.get("nextToken"):
                return events
            wanted["nextToken"] = page["nextToken"]
