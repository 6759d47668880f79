"""The messages about problems: title, text, and a key that a problem keeps from poll to poll."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAX_MESSAGES: Final = 20
"""Messages in one post; of further ones only the number is sent."""
MAX_TEXT_CHARACTERS: Final = 1_000


@dataclass(frozen=True)
class Message:
    """One problem that needs attention."""

    title: str
    """One line, such as "Late city: washington_dc"."""
    text: str
    """What happened and what to do, in a sentence or two."""
    key: str
    """Messages with one key are sent once in a period."""
    run_url: str | None = None

    def lines(self) -> str:
        """Title, text and link; a long text is cut."""
        text = self.text
        if len(text) > MAX_TEXT_CHARACTERS:
            text = f"{text[:MAX_TEXT_CHARACTERS]} ... (shortened)"
        return "\n".join([self.title, text, *([f"Run: {self.run_url}"] if self.run_url else [])])


def plain_text(messages: Sequence[Message]) -> str:
    """All messages as one text."""
    rest = len(messages) - MAX_MESSAGES
    parts = [message.lines() for message in messages[:MAX_MESSAGES]]
    return "\n\n".join([*parts, *([f"And {rest} more."] if rest > 0 else [])])


def run_failure(job: str, partition: str | None, step: str | None, error: str, run_url: str | None = None) -> Message:
    """A failed run; failures of one job for other partitions are other problems."""
    subject = f"{job} for {partition}" if partition else job
    where = f"Step {step} failed" if step else "The run failed"
    return _message("run failure", subject, f"{where}: {error}", f"{subject}|{step or ''}", run_url)


def late_city(city: str, reason: str) -> Message:
    """A city whose newest alerts are older than they should be."""
    return _message("late city", city, f"{reason} Look at the city's source.")


def failed_check(city: str, check: str, day: str | None, reason: str, run_url: str | None = None) -> Message:
    """A gate that failed: the forecast is no longer shown to be better than the best baseline."""
    subject = f"{city}, {day}" if day else city
    return _message("failed gate", subject, f"{check}: {reason}", f"{check}|{city}|{day}", run_url)


def corrupt_file(city: str, file: str, reason: str, run_url: str | None = None) -> Message:
    """A landed file that cannot be read; the city's other files are used."""
    text = f"{file} cannot be used: {reason}. Land a corrected file under the same name; other files are unaffected."
    return _message("corrupt file", f"{city}, {file}", text, f"{city}|{file}", run_url)


def folder_without_files(city: str, folder: str, reason: str) -> Message:
    """A landing folder that is missing or empty; the city's other sources are used."""
    text = f"{reason} Until then, the city's days come from its other sources alone."
    return _message("missing folder", f"{city}, {folder}", text, f"{city}|{folder}")


def wrong_city_file(city: str, problem: str) -> Message:
    """A city file that cannot be used; the other cities run on."""
    text = f"{problem} {city} stands still until its file is corrected and the code location reloaded."
    return _message("wrong city file", city, text)


def _message(kind: str, subject: str, text: str, key: str | None = None, run_url: str | None = None) -> Message:
    title = " ".join(f"{kind.capitalize()}: {subject}".split())
    return Message(title, text, f"{kind}|{key or subject}", run_url)
