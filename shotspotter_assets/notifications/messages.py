"""Messages about problems, and their text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAX_MESSAGES: Final = 20
"""Maximum messages in one text."""
MAX_TEXT_CHARACTERS: Final = 1_000


@dataclass(frozen=True)
class Message:
    """One problem; messages of one `kind` (such as "late city") and `subject` are sent once a day.

    The subject is the city, file or partition; the text states what happened and what to do.
    """

    kind: str
    subject: str
    text: str
    run_url: str | None = None

    @property
    def title(self) -> str:
        """One line, such as "Late city: washington_dc"."""
        return " ".join(f"{self.kind.capitalize()}: {self.subject}".split())

    @property
    def key(self) -> str:
        """Identity of the problem from poll to poll."""
        return f"{self.kind}|{self.subject}"


def plain_text(messages: Sequence[Message]) -> str:
    """Join all messages into one text; long ones are cut."""
    parts = []
    for message in messages:
        cut = " ... (shortened)" if len(message.text) > MAX_TEXT_CHARACTERS else ""
        link = f"\nRun: {message.run_url}" if message.run_url else ""
        parts.append(f"{message.title}\n{message.text[:MAX_TEXT_CHARACTERS]}{cut}{link}")
    return "\n\n".join(parts)
