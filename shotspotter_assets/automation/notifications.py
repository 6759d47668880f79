"""Notices to a webhook and by e-mail: each problem once a day, without secrets."""

import logging
import smtplib
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import formatdate, getaddresses, make_msgid
from functools import partial
from itertools import islice
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from shotspotter_assets.storage.redaction import Redaction, environment_secrets, without_credentials

State = dict[str, dict[str, str]]  # times (ISO 8601) of keys sent within `REPEAT_AFTER`, by channel, for the next call
REPEAT_AFTER: Final = timedelta(hours=24)
MAX_MESSAGES: Final = 20  # maximum number of messages in one text
MAX_TEXT_CHARACTERS: Final = 1_000
NO_WIDTH: Final = "\u200b"  # invisible space that breaks links and mentions
MIN_PART_CHARACTERS: Final = 12  # minimum length of a secret in a webhook's path; `services` is none

logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)  # at DEBUG it logs the webhook's path, a secret


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


class _RefusedError(Exception):
    """Refusal by a server, in words without secrets."""


@dataclass(frozen=True)
class Notifier:
    """The channels in use; all messages of a call share one post and one e-mail."""

    webhook_url: str = field(default="", repr=False)
    smtp_url: str = field(default="", repr=False)
    mail_from: str = ""
    mail_to: tuple[str, ...] = ()
    redaction: Redaction = field(default=Redaction([]), repr=False)  # addresses of channels, sources and store
    timeout_s: float = 5.0  # maximum wait to connect, and for each answer

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Notifier":
        """Read SHOTSPOTTER_WEBHOOK_URL, _SMTP_URL, _MAIL_FROM and _MAIL_TO; empty variables count as unset.

        SMTP URLs are smtp://user:password@host:587 (STARTTLS; optional without a login) or smtps://... (TLS from the start),
        with special characters percent-encoded. Commas separate receivers. A ValueError for a variable hides its secret.
        """
        names = ("WEBHOOK_URL", "SMTP_URL", "MAIL_FROM", "MAIL_TO")
        webhook, smtp, sender, receivers = (environ.get(f"SHOTSPOTTER_{name}", "").strip() for name in names)
        mail_to = tuple(address for _, address in getaddresses([receivers]) if address)
        webhook_parts = _split(webhook, "SHOTSPOTTER_WEBHOOK_URL", ("http", "https"))
        server = _split(smtp, "SHOTSPOTTER_SMTP_URL", ("smtp", "smtps"))
        for name, addresses in (("MAIL_FROM", (sender,)), ("MAIL_TO", mail_to or ("",))):
            if smtp and not all("@" in address and address.isprintable() for address in addresses):
                raise ValueError(f"SHOTSPOTTER_{name}: SHOTSPOTTER_SMTP_URL needs addresses such as risk@city.gov.")
        secrets = [part for part in webhook_parts.path.split("/") if len(part) >= MIN_PART_CHARACTERS]
        secrets += [webhook, webhook_parts.path, webhook_parts.query, smtp, unquote(server.password or "")]
        return cls(webhook, smtp, sender, mail_to, Redaction([*secrets, *environment_secrets(environ)]))

    def send(
        self, messages: Sequence[Message], state: State, now: datetime, footer: Callable[[], str] = str
    ) -> Outcome:
        """Send the messages that were not sent within `REPEAT_AFTER` by the last call's state, and a footer; never raise."""
        current = {message.key: message for message in map(self._redacted, messages)}
        outcome = Outcome({})
        channels = {"webhook": (self.webhook_url, self._post), "e-mail": (self.smtp_url, self._mail)}
        for channel, (address, deliver) in channels.items():
            if not address:
                continue
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
                deliver(list(due.values()), footer())
            except Exception as error:  # must not fail the sensor that reports the problem
                # Texts of connections and servers may hold the address or the login.
                code = f" {error.smtp_code}" if isinstance(error, smtplib.SMTPResponseException) else ""
                is_safe = isinstance(error, _RefusedError)
                outcome.failures[channel] = str(error) if is_safe else type(error).__name__ + code
                continue
            outcome.sent[channel] = list(due)
            sent.update(dict.fromkeys(due, now.isoformat()))
        return outcome

    def _redacted(self, message: Message) -> Message:
        def clean(text: str) -> str:
            text = without_credentials(self.redaction.clean(text))
            return text.encode(errors="replace").decode()  # lone surrogates, as in odd file names, cannot be sent

        return replace(message, subject=clean(message.subject), text=clean(message.text))

    def _post(self, messages: list[Message], footer: str) -> None:
        import requests

        text = _plain_text(messages, footer).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        # No mentions, links and code in Slack and in services that read Markdown.
        text = text.replace("](", f"]{NO_WIDTH}(").replace("@", f"@{NO_WIDTH}").replace("`", "'")
        answer = requests.post(self.webhook_url, json={"text": text}, timeout=self.timeout_s, allow_redirects=False)
        if not answer.ok or answer.is_redirect:
            raise _RefusedError(f"answered {answer.status_code}")  # the body may hold the address

    def _mail(self, messages: list[Message], footer: str) -> None:
        """Send the messages in one e-mail; raise smtplib's errors, or _RefusedError before a password is sent in the clear."""
        email = self._email(messages, footer)
        url = urlsplit(self.smtp_url)
        host = url.hostname or ""
        port = url.port or (465 if url.scheme == "smtps" else 587)
        context = ssl.create_default_context()
        connect = partial(smtplib.SMTP_SSL, context=context) if url.scheme == "smtps" else smtplib.SMTP
        with connect(host, port, timeout=self.timeout_s) as smtp:
            smtp.ehlo()
            if url.scheme == "smtp" and smtp.has_extn("starttls"):
                if not url.username:
                    # Without a password, encryption with an unverified server is better than none (RFC 7435).
                    context.check_hostname = False
                    context.verify_mode = ssl.CERT_NONE
                smtp.starttls(context=context)
            elif url.scheme == "smtp" and url.username and host not in ("localhost", "127.0.0.1", "::1"):
                raise _RefusedError("offers no STARTTLS, and the password is sent over TLS only")
            if url.username:
                smtp.login(unquote(url.username), unquote(url.password or ""))
            smtp.send_message(email)

    def _email(self, messages: list[Message], footer: str) -> EmailMessage:
        email = EmailMessage()
        more = f" (and {len(messages) - 1} more)" if len(messages) > 1 else ""
        email["Subject"] = messages[0].title + more
        email["From"] = self.mail_from
        email["To"] = ", ".join(self.mail_to)
        email["Date"] = formatdate()
        email["Message-ID"] = make_msgid(domain=self.mail_from.rpartition("@")[2].rstrip("> "))
        email.set_content(_plain_text(messages, footer) + "\n")
        return email


def _plain_text(messages: Sequence[Message], footer: str) -> str:
    parts = []
    for message in messages:
        cut = " ... (shortened)" if len(message.text) > MAX_TEXT_CHARACTERS else ""
        link = f"\nRun: {message.run_url}" if message.run_url else ""
        parts.append(f"{message.title}\n{message.text[:MAX_TEXT_CHARACTERS]}{cut}{link}")
    return "\n\n".join([*parts, *filter(None, [footer])])


def _split(url: str, variable: str, schemes: tuple[str, str]) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_usable = not url or (parts.scheme in schemes and parts.hostname and (parts.port is None or parts.port > 0))
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ValueError(f"{variable} is not an address of the form {schemes[0]}://host or {schemes[1]}://host.")
    return parts
