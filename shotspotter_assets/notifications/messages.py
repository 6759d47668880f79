"""The kinds of messages: the text of each, and the key by which a problem is recognised when it is met again."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["run failure", "late city", "failed gate", "corrupt file", "missing folder", "wrong city file"]


@dataclass(frozen=True)
class Message:
    """One problem that someone has to know of."""

    kind: Kind
    subject: str
    """What it is about: a city, a file, a job."""
    text: str
    """What happened and what to do, in a sentence or two."""
    key: str
    """The same for the same problem; messages with one key are sent once in a period."""
    run_url: str | None = None

    @property
    def title(self) -> str:
        """One line, such as "Late city: washington_dc"."""
        return " ".join(f"{self.kind.capitalize()}: {self.subject}".split())


def run_failure(job: str, partition: str | None, step: str | None, error: str, run_url: str | None = None) -> Message:
    """A run failed; the same job that fails for other partitions is another problem."""
    subject = f"{job} for {partition}" if partition else job
    where = f"Step {step} failed" if step else "The run failed"
    return Message("run failure", subject, f"{where}: {error}", f"run failure|{subject}|{step or ''}", run_url)


def late_city(city: str, reason: str) -> Message:
    """A city's newest alerts are older than they should be."""
    return Message("late city", city, f"{reason} Look at the city's source.", f"late city|{city}")


def failed_check(city: str, check: str, day: str | None, reason: str, run_url: str | None = None) -> Message:
    """A gate failed: the forecast no longer holds, or the alerts drifted."""
    subject = f"{city}, {day}" if day else city
    return Message("failed gate", subject, f"{check}: {reason}", f"failed gate|{check}|{city}|{day}", run_url)


def corrupt_file(city: str, file: str, reason: str, run_url: str | None = None) -> Message:
    """A landed file cannot be read; the other files of the city are used."""
    text = f"{file} cannot be used: {reason}. Drop a mended file under the same name; other files are unaffected."
    return Message("corrupt file", f"{city}, {file}", text, f"corrupt file|{city}|{file}", run_url)


def folder_without_files(city: str, folder: str, reason: str) -> Message:
    """One of a city's landing folders is missing or empty; its other sources are used."""
    text = f"{reason} Until then, the city's days are made from its other sources alone."
    return Message("missing folder", f"{city}, {folder}", text, f"missing folder|{city}|{folder}")


def wrong_city_file(city: str, problem: str) -> Message:
    """A city's file cannot be used; the other cities go on."""
    text = (
        f"{problem} {city} stands still until it is corrected and the code location is loaded again; the others go on."
    )
    return Message("wrong city file", city, text, f"wrong city file|{city}")
