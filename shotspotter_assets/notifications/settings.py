"""Where notifications go and from which address: settings, read from environment variables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import getaddresses
from functools import cached_property
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr

from shotspotter_assets.redaction import Redaction, environment_secrets

WEBHOOK_URL: Final = "SHOTSPOTTER_WEBHOOK_URL"
SMTP_URL: Final = "SHOTSPOTTER_SMTP_URL"
MAIL_FROM: Final = "SHOTSPOTTER_MAIL_FROM"
MAIL_TO: Final = "SHOTSPOTTER_MAIL_TO"

MIN_PART_CHARACTERS: Final = 12
"""Parts of a webhook's path that are as long count as secrets; shorter ones, such as `services`, are the same for all."""

_PORTS: Final = {"smtp": 587, "smtps": 465}
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class MailServer:
    """An SMTP server and the login there."""

    host: str
    port: int
    implicit_tls: bool
    """TLS from the first byte; otherwise STARTTLS, where the server offers it."""
    user: str | None
    password: str | None = field(repr=False)

    @property
    def tls_required(self) -> bool:
        """Whether TLS is needed: a password is sent over TLS alone, except on this machine."""
        return self.user is not None and self.host not in _LOOPBACK


class NotificationSettings(BaseModel):
    """Channels of notifications: webhook, e-mail, both or neither. Never shows its secrets."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    webhook_url: SecretStr | None = None
    """Whoever knows a webhook's URL can post to it, so the URL is a secret."""
    smtp_url: SecretStr | None = None
    mail_from: str = ""
    mail_to: tuple[str, ...] = ()
    other_secrets: tuple[SecretStr, ...] = ()
    """Secrets of sources and store, which texts must not show either."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read SHOTSPOTTER_WEBHOOK_URL, _SMTP_URL, _MAIL_FROM and _MAIL_TO; an empty variable is an absent one.

        SMTP URLs read smtp://user:password@host:587 (STARTTLS; without a login, where the server offers it) or
        smtps://... (TLS from the start), with special characters of user and password percent-encoded (%40). Several
        receivers are separated by commas.

        Raises:
            ValueError: a variable cannot be used; the message names it and never shows a secret.
        """
        webhook, smtp = environ.get(WEBHOOK_URL, "").strip(), environ.get(SMTP_URL, "").strip()
        mail_from = environ.get(MAIL_FROM, "").strip()
        mail_to = tuple(address for _, address in getaddresses([environ.get(MAIL_TO, "")]) if address)
        if webhook and not _is_url(webhook, ("http", "https")):
            raise ValueError(f"{WEBHOOK_URL} is not an http(s) URL: set it to the webhook's address or to nothing.")
        if smtp:
            if not _is_url(smtp, ("smtp", "smtps")):
                raise ValueError(f"{SMTP_URL} is not of the form smtp://user:password@host:587 (or smtps://...).")
            for name, addresses in ((MAIL_FROM, (mail_from,)), (MAIL_TO, mail_to or ("",))):
                wrong = [address for address in addresses if "@" not in address or set(address) & set("\r\n")]
                if wrong:
                    raise ValueError(
                        f"{name} is {wrong[0]!r}: e-mail ({SMTP_URL}) needs addresses such as risk@city.gov."
                    )
        return cls(
            webhook_url=SecretStr(webhook) if webhook else None,
            smtp_url=SecretStr(smtp) if smtp else None,
            mail_from=mail_from,
            mail_to=mail_to,
            other_secrets=tuple(map(SecretStr, environment_secrets(environ))),
        )

    @cached_property
    def redaction(self) -> Redaction:
        """Takes the secrets of these settings out of texts."""
        secrets = [secret.get_secret_value() for secret in self.other_secrets]
        if self.webhook_url is not None:
            url = urlsplit(self.webhook_url.get_secret_value())
            parts = [part for part in url.path.split("/") if len(part) >= MIN_PART_CHARACTERS]
            secrets += [url.geturl(), url.path, url.query, *parts]
        if self.smtp_url is not None and (server := self.mail_server):
            secrets += [self.smtp_url.get_secret_value(), server.password or ""]
        return Redaction(secrets)

    @property
    def mail_server(self) -> MailServer | None:
        """The parts of `smtp_url`; null without e-mail."""
        if self.smtp_url is None:
            return None
        url = urlsplit(self.smtp_url.get_secret_value())
        return MailServer(
            host=url.hostname or "",
            port=url.port or _PORTS[url.scheme],
            implicit_tls=url.scheme == "smtps",
            user=unquote(url.username) if url.username else None,
            password=unquote(url.password or "") if url.username else None,
        )


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in schemes and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        return False
