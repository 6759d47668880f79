"""The messages about problems, and the text that a channel sends."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAX_MESSAGES: Final = 20
"""Messages in one text."""
MAX_TEXT_CHARACTERS: Final = 1_000


@dataclass(frozen=True)
class Message:
    """One problem that needs attention.

    Attributes:
        kind: such as "late city".
        subject: the city, file or partition that has the problem; messages of one kind and subject are sent once a day.
        text: what happened and what to do, in a sentence or two.
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
        """Equal for the same problem from poll to poll."""
        return f"{self.kind}|{self.subject}"


def plain_text(messages: Sequence[Message]) -> str:
    """All messages as one text; a long one is cut."""
    parts = []
    for message in messages:
        cut = " ... (shortened)" if len(message.text) > MAX_TEXT_CHARACTERS else ""
        link = f"\nRun: {message.run_url}" if message.run_url else ""
        parts.append(f"{message.title}\n{message.text[:MAX_TEXT_CHARACTERS]}{cut}{link}")
    return "\n\n".join(parts)
