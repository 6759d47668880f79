"""Sends messages to a webhook and by e-mail: each problem once in a period, never raising, never showing a secret."""

import contextlib
import logging
import re
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Any, Final
from urllib.parse import quote, urlsplit

import requests
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from shotspotter_assets.notifications.messages import Message
from shotspotter_assets.notifications.settings import MailServer, NotificationSettings

State = dict[str, dict[str, str]]
"""By channel, the keys sent within the period and when (ISO 8601): JSON that the caller keeps between calls."""

_MAX_MESSAGES: Final = 20
"""Messages spelt out in one post; of further ones only the titles are sent."""
_MAX_TITLES: Final = 100
_MAX_TEXT: Final = 1_000
_MAX_TITLE: Final = 200
_SHORTEST_SECRET: Final = 4
_MAX_KEYS: Final = 2_000
_TOO_MANY_REQUESTS: Final = 429

_CREDENTIALS: Final = (
    (re.compile(r"(?<=://)[^/\s@]+@"), "***@"),
    (re.compile(r"(?i)((?:token|key|secret|password|passwd|pwd|signature|sig)\s*[=:]\s*)[^&\s,;'\"]+"), r"\1***"),
)


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
    """Sends to the channels in `settings`; all messages of one call go out together, in one post and one e-mail.

    A channel that does not answer takes at most attempts x (about two time-outs + waits): 40 s with these defaults.
    """

    settings: NotificationSettings
    period: timedelta = timedelta(hours=24)
    """A key that was sent is not sent again for so long."""
    timeout_s: float = 5.0
    """Of connecting, and of each answer."""
    attempts: int = 3
    first_wait_s: float = 1.0
    """Before the second attempt; doubled for each further one."""

    def send(self, messages: Sequence[Message], state: Mapping[str, Any], now: datetime) -> Outcome:
        """Sends the messages whose keys were not sent within the period. Never raises.

        Args:
            state: of the last call, {} for none; what is not a state counts as none.
            now: with a time zone.
        """
        kept, sent, failures = self._recent(state, now), {}, {}
        channels: list[tuple[str, object, Callable[[list[Message], datetime], str | None]]] = [
            ("webhook", self.settings.webhook_url, self._post),
            ("e-mail", self.settings.smtp_url, self._mail),
        ]
        for channel, configured, deliver in channels:
            known = kept.setdefault(channel, {})
            due = {key: message for message in messages if (key := self._redacted(message.key)) not in known}
            if configured is None or not due:
                continue
            try:
                complaint = self._retrying()(deliver, list(due.values()), now)
            except Exception as error:  # whatever it is, it must not fail what it tells of
                failures[channel] = self._reason(error)
                continue
            if complaint:
                failures[channel] = complaint
            sent[channel] = list(due)
            kept[channel] = dict(list((known | dict.fromkeys(due, now.isoformat())).items())[-_MAX_KEYS:])
        return Outcome(kept, sent, failures)

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

    def _post(self, messages: list[Message], _now: datetime) -> str | None:
        url = self.settings.webhook_url
        if url is None:
            return None
        with (
            _url_kept_out_of_logs(),
            requests.post(
                url.get_secret_value(),
                json={"text": self._slack_text(messages)},
                timeout=self.timeout_s,
                allow_redirects=False,
                stream=True,
            ) as response,
        ):
            if not response.ok or response.is_redirect:
                answer = next(response.iter_content(200), b"").decode(errors="replace")
                raise _RefusedError(
                    f"answered {response.status_code} {answer}".strip(),
                    temporary=response.status_code >= 500 or response.status_code == _TOO_MANY_REQUESTS,
                )
        return None

    def _mail(self, messages: list[Message], now: datetime) -> str | None:
        server = self.settings.mail_server
        if server is None:
            return None
        email = self._email(messages, now)
        with _connected(server, self.timeout_s) as smtp:
            refused = smtp.send_message(email)
        return f"refused for {', '.join(sorted(refused))}; sent to the others" if refused else None

    def _slack_text(self, messages: list[Message]) -> str:
        parts = []
        for message in messages[:_MAX_MESSAGES]:
            lines = [f"*{_escaped(self._title(message))}*", _escaped(self._text(message))]
            if url := self._run_url(message):
                lines.append(f"<{_escaped(url)}|Open the run>")
            parts.append("\n".join(lines))
        return "\n\n".join([*parts, *map(_escaped, self._further(messages))])

    def _email(self, messages: list[Message], now: datetime) -> EmailMessage:
        email = EmailMessage()
        more = f" (and {len(messages) - 1} more)" if len(messages) > 1 else ""
        email["Subject"] = self._title(messages[0]) + more
        email["From"] = self.settings.mail_from
        email["To"] = ", ".join(self.settings.mail_to)
        email["Date"] = format_datetime(now.astimezone(UTC))
        email["Message-ID"] = make_msgid(domain=self.settings.mail_from.rpartition("@")[2].rstrip("> "))
        parts = []
        for message in messages[:_MAX_MESSAGES]:
            url = self._run_url(message)
            parts.append("\n".join([self._title(message), self._text(message), *([f"Run: {url}"] if url else [])]))
        email.set_content("\n\n".join([*parts, *self._further(messages)]) + "\n")
        return email

    def _title(self, message: Message) -> str:
        return self._redacted(message.title)[:_MAX_TITLE]

    def _text(self, message: Message) -> str:
        text = self._redacted(message.text)
        return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]} ... (shortened)"

    def _run_url(self, message: Message) -> str | None:
        url = message.run_url or ""
        # What would end a link early, such as > or |, is percent-encoded.
        return (
            quote(self._redacted(url), safe=":/?#[]@!$&'()*+,;=%~") if url.startswith(("http://", "https://")) else None
        )

    def _further(self, messages: list[Message]) -> list[str]:
        titles = [self._title(message) for message in messages[_MAX_MESSAGES : _MAX_MESSAGES + _MAX_TITLES]]
        rest = len(messages) - _MAX_MESSAGES - _MAX_TITLES
        return (["\n".join(titles)] if titles else []) + ([f"And {rest} more."] if rest > 0 else [])

    def _redacted(self, text: str) -> str:
        """`text` without this notifier's secrets and without what looks like anyone's credentials."""
        for secret in self._secrets():
            text = text.replace(secret, "***")
        for pattern, instead in _CREDENTIALS:
            text = pattern.sub(instead, text)
        return text.encode(errors="replace").decode()  # lone surrogates, as in names of odd files, cannot be sent

    def _secrets(self) -> list[str]:
        secrets = []
        if self.settings.webhook_url is not None:
            url = self.settings.webhook_url.get_secret_value()
            secrets += [url, urlsplit(url).path]
        if self.settings.smtp_url is not None:
            url, server = self.settings.smtp_url.get_secret_value(), self.settings.mail_server
            secrets += [url, urlsplit(url).password or "", (server.password if server else None) or ""]
        return [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]

    def _reason(self, error: Exception) -> str:
        """Why sending failed. The texts of connection errors hold the URL, so only their kind is told."""
        if isinstance(error, smtplib.SMTPResponseException):
            answer = (
                error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
            )
            return self._redacted(f"the server answered {error.smtp_code} {answer}")
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            return f"refused for {', '.join(sorted(error.recipients))}"
        if isinstance(error, _RefusedError):
            return self._redacted(str(error))
        if isinstance(error, smtplib.SMTPException):
            return self._redacted(f"{type(error).__name__}: {error}")
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

    def of_other_threads(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger.addFilter(of_other_threads)
    try:
        yield
    finally:
        logger.removeFilter(of_other_threads)


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
    for_good = smtplib.SMTPNotSupportedError | ssl.SSLCertVerificationError
    return isinstance(error, OSError) and not isinstance(error, for_good)


def _escaped(text: str) -> str:
    """`text` as Slack wants it: no mentions and no links of its own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
