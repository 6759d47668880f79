"""Notices through Apprise, to chats, webhooks and mailboxes: each problem once a day, without secrets."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from shotspotter_assets.storage.redaction import Redaction, environment_secrets, without_credentials

if TYPE_CHECKING:
    from apprise import NotifyBase

State = dict[str, dict[str, str]]  # times (ISO 8601) of keys sent within `REPEAT_AFTER`, by channel, for the next call
REPEAT_AFTER: Final = timedelta(hours=24)
MAX_MESSAGES: Final = 20  # maximum number of messages in one text
MAX_TEXT_CHARACTERS: Final = 1_000
NO_WIDTH: Final = "\u200b"  # invisible space that breaks links and mentions
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
MIN_PART_CHARACTERS: Final = 12  # minimum length of a secret in an address; `services` is none

# Logs below these levels hold addresses, as do all messages of Apprise about an address that it cannot use.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)
logging.getLogger("apprise").setLevel(logging.WARNING)
logging.getLogger("apprise").propagate = False


@dataclass(frozen=True)
class Message:
    """One problem; messages of equal `kind` and `subject` are sent once a day."""

    kind: str  # kind of problem, such as "late city"
    subject: str  # city, file or partition
    text: str  # problem and remedy
    run_url: str | None = None

    @property
    def title(self) -> str:
        """One line, such as "Late city: washington_dc"."""
        return " ".join(f"{self.kind.capitalize()}: {self.subject}".split())

    @property
    def key(self) -> str:
        """Name of the problem, equal in every poll."""
        return f"{self.kind}|{self.subject}"


@dataclass
class Outcome:
    """The result of one call."""

    state: State  # state for the next call
    sent: dict[str, list[str]] = field(default_factory=dict)  # keys sent, by channel
    failures: dict[str, str] = field(default_factory=dict)  # by channel, without secrets; they are due again
    is_complete: bool = True  # False if a channel has further messages


@dataclass(frozen=True)
class Notifier:
    """The channels in use; all messages of a call share one text for each of them."""

    services: Sequence["NotifyBase"] = field(repr=False)
    redaction: Redaction = field(repr=False)  # secrets of channels, sources and store

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Notifier":
        """Read the Apprise URLs of SHOTSPOTTER_NOTIFY_URLS; a ValueError for a wrong one hides its secret."""
        from apprise import Apprise, AppriseAsset, OverflowMode
        from apprise.plugins.email import NotifyEmail

        urls = environ.get("SHOTSPOTTER_NOTIFY_URLS", "").strip()
        channels = Apprise(asset=AppriseAsset(app_id="ShotSpotter", http_redirects=False))
        if urls and not channels.add(re.split(r",?\s+|,(?=\w+://)", urls)):
            raise ValueError(
                "SHOTSPOTTER_NOTIFY_URLS has an address that is no URL of Apprise (https://appriseit.com)."
            )
        secrets = [part for part in re.split(r"[\s,/?&=:@]+", urls) if len(part) >= MIN_PART_CHARACTERS]
        for service in channels:
            service.overflow_mode = OverflowMode.SPLIT  # services refuse texts that are too long for them
            is_plain_mail = isinstance(service, NotifyEmail) and (
                service.secure_mode == "insecure" and service.smtp_host not in LOOPBACK
            )
            if service.password and is_plain_mail:
                raise ValueError(
                    "SHOTSPOTTER_NOTIFY_URLS sends a password over TLS only: use mailtos:// for mailto://."
                )
            secrets.append(service.password or "")
        return cls(list(channels), Redaction([*secrets, *map(unquote, secrets), *environment_secrets(environ)]))

    def send(
        self, messages: Sequence[Message], state: State, now: datetime, footer: Callable[[], str] = str
    ) -> Outcome:
        """Send the messages that were not sent within `REPEAT_AFTER` by the last call's state, and a footer; never raise."""
        current = {message.key: message for message in map(self._redacted, messages)}
        outcome = Outcome({})
        for number, service in enumerate(self.services, 1):
            channel = f"{service.service_name} {number}"
            times = state.get(channel, {}).items()
            # A time in the future comes from a wrong clock, and must not silence the problem for long.
            sent = {key: time for key, time in times if abs(now - datetime.fromisoformat(time)) < REPEAT_AFTER}
            due = {key: message for key, message in current.items() if key not in sent}
            outcome.state[channel] = sent
            if not due:
                continue
            if len(due) > MAX_MESSAGES:
                due = dict(islice(due.items(), MAX_MESSAGES))
                outcome.is_complete = False
            try:
                failure = _deliver(service, list(due.values()), footer())
            except Exception as error:  # must not fail the sensor that reports the problem
                failure = type(error).__name__
            if failure:
                outcome.failures[channel] = self.redaction.clean(failure)
                continue
            outcome.sent[channel] = list(due)
            sent.update(dict.fromkeys(due, now.isoformat()))
        return outcome

    def _redacted(self, message: Message) -> Message:
        def clean(text: str) -> str:
            text = without_credentials(self.redaction.clean(text))
            # No mentions, links and code in services that read Markdown; Apprise escapes for the others.
            for sign, broken in (("](", f"]{NO_WIDTH}("), ("@", f"@{NO_WIDTH}"), ("<", f"<{NO_WIDTH}"), ("`", "'")):
                text = text.replace(sign, broken)
            return text.encode(errors="replace").decode()  # lone surrogates, as in odd file names, cannot be sent

        return replace(message, subject=clean(message.subject), text=clean(message.text))


def _deliver(service: "NotifyBase", messages: Sequence[Message], footer: str) -> str:
    """Send the messages in one text; return the reason why it failed, empty if it did not."""
    from apprise import Apprise, NotifyFormat

    more = f" (and {len(messages) - 1} more)" if len(messages) > 1 else ""
    parts = []
    for message in messages:
        cut = " ... (shortened)" if len(message.text) > MAX_TEXT_CHARACTERS else ""
        link = f"\nRun: {message.run_url}" if message.run_url else ""
        parts.append(f"{message.title}\n{message.text[:MAX_TEXT_CHARACTERS]}{cut}{link}")
    result = Apprise(service, asset=service.asset).notify(
        title=messages[0].title + more,
        body="\n\n".join([*parts, *filter(None, [footer])]),
        body_format=NotifyFormat.TEXT,
    )
    return "" if result else "; ".join(log.message for log in result.logs()) or "no answer"
