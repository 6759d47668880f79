"""Sends messages to a webhook and by e-mail: each problem once per period. Never raises, never shows a secret."""

import contextlib
import logging
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import requests
from pydantic import SecretStr
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from shotspotter_assets.notifications.messages import Message
from shotspotter_assets.notifications.settings import MailServer, NotificationSettings
from shotspotter_assets.notifications.texts import Texts

State = dict[str, dict[str, str]]
"""By channel, the keys sent within the period and when (ISO 8601): JSON that the caller keeps between calls."""

MAX_KEYS: Final = 2_000
"""Keys of messages that are remembered per channel."""
TOO_MANY_REQUESTS: Final = 429
MAX_ANSWER_BYTES: Final = 1 << 16
"""Of a webhook's answer; more is shown of none."""


@dataclass(frozen=True)
class Outcome:
    """What became of the messages of one call."""

    state: State
    """To be handed to the next call."""
    sent: dict[str, list[str]] = field(default_factory=dict)
    """Keys sent, by channel."""
    failures: dict[str, str] = field(default_factory=dict)
    """Why a channel failed, without secrets; its messages are due again at the next call."""


class _RefusedError(Exception):
    """A server answered no. `temporary` says whether asking again may help."""

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
    """A key that was sent is not sent again within this time."""
    timeout_s: float = 5.0
    """Of connecting, and of waiting for each answer."""
    attempts: int = 3
    first_wait_s: float = 1.0
    """Before the second attempt; doubled for each further one."""

    def send(self, messages: Sequence[Message], state: Mapping[str, Any], now: datetime) -> Outcome:
        """Send the messages whose keys were not sent within the period. Never raises.

        Args:
            state: `Outcome.state` of the last call; {}, or anything that is not a state, for none.
            now: with a time zone.
        """
        kept, sent, failures, texts = self._recent(state, now), {}, {}, self._texts
        channels: list[tuple[str, Any, Callable[[Any, list[Message], datetime], str | None]]] = [
            ("webhook", self.settings.webhook_url, self._post),
            ("e-mail", self.settings.mail_server, self._mail),
        ]
        for channel, target, deliver in channels:
            known = kept.setdefault(channel, {})
            due = {key: message for message in messages if (key := texts.redacted(message.key)) not in known}
            if target is None or not due:
                continue
            try:
                complaint = self._retrying()(deliver, target, list(due.values()), now)
            except Exception as error:  # whatever it is, it must not fail what it tells of
                failures[channel] = self._reason(error)
                continue
            if complaint:
                failures[channel] = complaint
            sent[channel] = list(due)
            kept[channel] = dict(list((known | dict.fromkeys(due, now.isoformat())).items())[-MAX_KEYS:])
        return Outcome(kept, sent, failures)

    @property
    def _texts(self) -> Texts:
        return Texts(self.settings)

    def _recent(self, state: Mapping[str, Any], now: datetime) -> State:
        recent: State = {}
        for channel, keys in state.items() if isinstance(state, Mapping) else ():
            for key, sent_at in keys.items() if isinstance(keys, Mapping) else ():
                with contextlib.suppress(TypeError, ValueError):
                    # A time in the future is a clock that was wrong then, and must not silence the problem for long.
                    if abs(now - datetime.fromisoformat(sent_at)) < self.period:
                        recent.setdefault(channel, {})[key] = sent_at
        return recent

    def _retrying(self) -> Retrying:
        return Retrying(
            retry=retry_if_exception(_is_temporary),
            stop=stop_after_attempt(self.attempts),
            wait=wait_exponential(multiplier=self.first_wait_s, max=30),
            reraise=True,
        )

    def _post(self, url: SecretStr, messages: list[Message], _now: datetime) -> None:
        with (
            _url_kept_out_of_logs(),
            requests.post(
                url.get_secret_value(),
                json={"text": self._texts.slack(messages)},
                timeout=self.timeout_s,
                allow_redirects=False,
                stream=True,
            ) as response,
        ):
            if not response.ok or response.is_redirect:
                answer = next(response.iter_content(MAX_ANSWER_BYTES), b"").decode(errors="replace")
                raise _RefusedError(
                    f"answered {response.status_code} {self._texts.answer(answer)}".strip(),
                    temporary=response.status_code >= 500 or response.status_code == TOO_MANY_REQUESTS,
                )

    def _mail(self, server: MailServer, messages: list[Message], now: datetime) -> str | None:
        """Returns which receivers were refused where others were not."""
        email = self._texts.email(messages, now)
        with _connected(server, self.timeout_s) as smtp:
            refused = smtp.send_message(email)
        return f"refused for {', '.join(sorted(refused))}; sent to the others" if refused else None

    def _reason(self, error: Exception) -> str:
        """Why sending failed. The texts of connection errors hold the URL, so only their class is named."""
        if isinstance(error, smtplib.SMTPResponseException):
            answer = (
                error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
            )
            return f"the server answered {error.smtp_code} {self._texts.answer(answer)}"
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            return f"refused for {', '.join(sorted(error.recipients))}"
        if isinstance(error, _RefusedError):
            return str(error)
        if isinstance(error, smtplib.SMTPException):
            return f"{type(error).__name__}: {self._texts.answer(str(error))}"
        return type(error).__name__


@contextlib.contextmanager
def _connected(server: MailServer, timeout_s: float) -> Iterator[smtplib.SMTP]:
    """An SMTP connection, encrypted where the server can, and logged in where there is a login."""
    context = ssl.create_default_context()
    own_name = socket.gethostname()
    if server.implicit_tls:
        connection: smtplib.SMTP = smtplib.SMTP_SSL(
            server.host, server.port, own_name, timeout=timeout_s, context=context
        )
    else:
        connection = smtplib.SMTP(server.host, server.port, own_name, timeout_s)
    with connection as smtp:
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
    """Whether trying again may help."""
    if isinstance(error, _RefusedError):
        return error.temporary
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code < 500 for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code < 500
    if isinstance(error, requests.RequestException):
        unreachable = isinstance(error, requests.ConnectionError | requests.Timeout)
        return unreachable and not isinstance(error, requests.exceptions.SSLError)
    permanent = smtplib.SMTPNotSupportedError | ssl.SSLCertVerificationError
    return isinstance(error, OSError) and not isinstance(error, permanent)
