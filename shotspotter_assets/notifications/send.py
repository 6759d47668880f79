"""Sends messages to a webhook and by e-mail: each problem once per period. Never raises, never shows a secret."""

import contextlib
import logging
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from http import HTTPStatus
from typing import Final

import requests
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from shotspotter_assets.notifications.messages import Message, plain_text
from shotspotter_assets.notifications.settings import MailServer, NotificationSettings
from shotspotter_assets.redaction import without_credentials

State = dict[str, dict[str, str]]
"""By channel, the keys sent within the period and when (ISO 8601): JSON that the caller keeps between calls."""

NO_WIDTH: Final = "\u200b"
"""An invisible space that breaks links and mentions."""


@dataclass(frozen=True)
class Outcome:
    """The result of one call."""

    state: State
    """The state to pass to the next call."""
    sent: dict[str, list[str]] = field(default_factory=dict)
    """Keys sent, by channel."""
    failures: dict[str, str] = field(default_factory=dict)
    """Why a channel failed, without secrets; its messages are due again at the next call."""


class _RefusedError(Exception):
    """A server refused a message."""

    def __init__(self, reason: str, *, temporary: bool) -> None:
        super().__init__(reason)
        self.temporary = temporary


@dataclass(frozen=True)
class Notifier:
    """Sends to the channels in `settings`: all messages of one call in one post and in one e-mail.

    A channel that does not answer takes at most attempts x (about two time-outs + waits): 40 s with these defaults.
    """

    settings: NotificationSettings
    period: timedelta = timedelta(hours=24)
    """A key is sent once within this time."""
    timeout_s: float = 5.0
    """Maximum seconds to connect, and to wait for each answer."""
    attempts: int = 3
    first_wait_s: float = 1.0
    """Seconds before the second attempt; doubled for each further one."""

    def send(self, messages: Sequence[Message], state: State, now: datetime) -> Outcome:
        """Send the messages whose keys were not sent within the period. Never raises.

        Args:
            messages: the current problems.
            state: `Outcome.state` of the last call; {} for none.
            now: with a time zone.
        """
        current = {message.key: message for message in map(self._redacted, messages)}
        outcome = Outcome({})
        channels: dict[str, Callable[[list[Message], datetime], str | None]] = {}
        if self.settings.webhook_url:
            channels["webhook"] = self._post
        if self.settings.mail_server:
            channels["e-mail"] = self._mail
        for channel, deliver in channels.items():
            # A time in the future comes from a wrong clock, and must not silence the problem for long.
            known = {
                key: at
                for key, at in state.get(channel, {}).items()
                if abs(now - datetime.fromisoformat(at)) < self.period
            }
            outcome.state[channel] = known
            due = [message for key, message in current.items() if key not in known]
            if not due:
                continue
            try:
                complaint = self._retrying()(deliver, due, now)
            except Exception as error:  # must not fail the sensor that reports the problem
                outcome.failures[channel] = _reason(error)
                continue
            if complaint:
                outcome.failures[channel] = complaint
            outcome.sent[channel] = [message.key for message in due]
            known.update(dict.fromkeys(outcome.sent[channel], now.isoformat()))
        return outcome

    def _redacted(self, message: Message) -> Message:
        def clean(text: str) -> str:
            text = without_credentials(self.settings.redaction.clean(text))
            return text.encode(errors="replace").decode()  # lone surrogates, as in odd file names, cannot be sent

        return replace(
            message,
            title=clean(message.title),
            text=clean(message.text),
            key=clean(message.key),
            run_url=clean(message.run_url) if message.run_url else None,
        )

    def _retrying(self) -> Retrying:
        return Retrying(
            retry=retry_if_exception(_is_temporary),
            stop=stop_after_attempt(self.attempts),
            wait=wait_exponential(multiplier=self.first_wait_s, max=30),
            reraise=True,
        )

    def _post(self, messages: list[Message], _now: datetime) -> None:
        assert self.settings.webhook_url is not None
        url, text = self.settings.webhook_url.get_secret_value(), _escaped(plain_text(messages))
        with _url_kept_out_of_logs():
            answer = requests.post(url, json={"text": text}, timeout=self.timeout_s, allow_redirects=False, stream=True)
            answer.close()
        if not answer.ok or answer.is_redirect:
            # The body is not quoted, as it may hold the address.
            is_temporary = answer.status_code >= 500 or answer.status_code == HTTPStatus.TOO_MANY_REQUESTS
            raise _RefusedError(f"answered {answer.status_code}", temporary=is_temporary)

    def _mail(self, messages: list[Message], now: datetime) -> str | None:
        """Send one e-mail; returns a complaint if the server refused some of the receivers."""
        assert self.settings.mail_server is not None
        email = EmailMessage()
        more = f" (and {len(messages) - 1} more)" if len(messages) > 1 else ""
        email["Subject"] = messages[0].title + more
        email["From"] = self.settings.mail_from
        email["To"] = ", ".join(self.settings.mail_to)
        email["Date"] = format_datetime(now.astimezone(UTC))
        email["Message-ID"] = make_msgid(domain=self.settings.mail_from.rpartition("@")[2].rstrip("> "))
        email.set_content(plain_text(messages) + "\n")
        with _connected(self.settings.mail_server, self.timeout_s) as smtp:
            refused = smtp.send_message(email)
        return f"refused for {', '.join(sorted(refused))}; sent to the others" if refused else None


def _escaped(text: str) -> str:
    """Text for Slack and services that read Markdown, without mentions, links and code."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("](", f"]{NO_WIDTH}(").replace("@", f"@{NO_WIDTH}").replace("`", "'")


def _reason(error: Exception) -> str:
    """Why sending failed. Texts of connections and servers may hold the address or the login, so they are not quoted."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the server answered {error.smtp_code}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"refused for {', '.join(sorted(error.recipients))}"
    return str(error) if isinstance(error, _RefusedError) else type(error).__name__


@contextlib.contextmanager
def _connected(server: MailServer, timeout_s: float) -> Iterator[smtplib.SMTP]:
    """An SMTP connection, encrypted where the server can, and logged in where there is a login."""
    context, own_name = ssl.create_default_context(), socket.gethostname()
    with (
        smtplib.SMTP_SSL(server.host, server.port, own_name, timeout=timeout_s, context=context)
        if server.implicit_tls
        else smtplib.SMTP(server.host, server.port, own_name, timeout_s)
    ) as smtp:
        smtp.ehlo()
        if not server.implicit_tls and smtp.has_extn("starttls"):
            if not server.tls_required:
                # Without a password to protect, encryption with an unproven server is better than none (RFC 7435).
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            smtp.starttls(context=context)
            smtp.ehlo()
        elif not server.implicit_tls and server.tls_required:
            raise _RefusedError("offers no STARTTLS, and the password is sent over TLS only", temporary=False)
        if server.user is not None:
            smtp.login(server.user, server.password or "")
        yield smtp


@contextlib.contextmanager
def _url_kept_out_of_logs() -> Iterator[None]:
    """urllib3 logs the paths of requests at DEBUG, and the webhook's path is its secret."""
    thread, logger = threading.get_ident(), logging.getLogger("urllib3.connectionpool")

    def is_from_another_thread(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger.addFilter(is_from_another_thread)
    try:
        yield
    finally:
        logger.removeFilter(is_from_another_thread)


def _is_temporary(error: BaseException) -> bool:
    """Whether a further attempt may succeed."""
    if isinstance(error, _RefusedError):
        return error.temporary
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code < 500 for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code < 500
    permanent = smtplib.SMTPNotSupportedError | ssl.SSLCertVerificationError | requests.exceptions.SSLError
    return isinstance(error, OSError) and not isinstance(error, permanent)
