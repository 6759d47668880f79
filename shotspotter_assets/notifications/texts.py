"""What the channels are sent: messages as a Slack text or an e-mail, shortened, escaped and without secrets."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from functools import cached_property
from typing import Final
from urllib.parse import quote, urlsplit

from shotspotter_assets.notifications.messages import Message
from shotspotter_assets.notifications.settings import NotificationSettings
from shotspotter_assets.redaction import Redaction, without_credentials

MAX_MESSAGES: Final = 20
"""Messages spelt out in one post; of further ones only the titles are sent."""
MAX_TITLES: Final = 100
MAX_TEXT_CHARACTERS: Final = 1_000
MAX_TITLE_CHARACTERS: Final = 200
MAX_ANSWER_CHARACTERS: Final = 200
NO_WIDTH: Final = "\u200b"
"""A space that is not seen, and parts what would be a link or a mention."""

PUBLIC_PARTS: Final = re.compile(r"/(?:services|api|webhooks?|webhookb2|IncomingWebhook|hooks|workflows|triggers)(?=/)")
"""Parts of webhooks' paths that are the same for everybody and found in other addresses."""


@dataclass(frozen=True)
class Texts:
    """Writes messages for the channels of `settings`."""

    settings: NotificationSettings

    def slack(self, messages: Sequence[Message]) -> str:
        """The text of one post for all messages."""
        parts = []
        for message in messages[:MAX_MESSAGES]:
            lines = [f"*{_escaped(self._title(message))}*", _escaped(self._text(message))]
            if url := self._run_url(message):
                lines.append(f"<{_escaped(url)}|Open the run>")
            parts.append("\n".join(lines))
        return "\n\n".join([*parts, *map(_escaped, self._further(messages))])

    def email(self, messages: Sequence[Message], now: datetime) -> EmailMessage:
        """One e-mail for all messages."""
        email = EmailMessage()
        more = f" (and {len(messages) - 1} more)" if len(messages) > 1 else ""
        email["Subject"] = self._title(messages[0]) + more
        email["From"] = self.settings.mail_from
        email["To"] = ", ".join(self.settings.mail_to)
        email["Date"] = format_datetime(now.astimezone(UTC))
        email["Message-ID"] = make_msgid(domain=self.settings.mail_from.rpartition("@")[2].rstrip("> "))
        parts = []
        for message in messages[:MAX_MESSAGES]:
            url = self._run_url(message)
            parts.append("\n".join([self._title(message), self._text(message), *([f"Run: {url}"] if url else [])]))
        email.set_content("\n\n".join([*parts, *self._further(messages)]) + "\n")
        return email

    def redacted(self, text: str) -> str:
        """`text` without the secrets of the settings and without what looks like anyone's credentials."""
        text = without_credentials(self._redaction.clean(text))
        return text.encode(errors="replace").decode()  # lone surrogates, as in names of odd files, cannot be sent

    def answer(self, text: str) -> str:
        """What a server answered, without secrets and then cut."""
        return self.redacted(text)[:MAX_ANSWER_CHARACTERS]

    def _title(self, message: Message) -> str:
        return self.redacted(message.title)[:MAX_TITLE_CHARACTERS]

    def _text(self, message: Message) -> str:
        text = self.redacted(message.text)
        return text if len(text) <= MAX_TEXT_CHARACTERS else f"{text[:MAX_TEXT_CHARACTERS]} ... (shortened)"

    def _run_url(self, message: Message) -> str | None:
        url = message.run_url or ""
        if not url.startswith(("http://", "https://")):
            return None
        # What would end a link early, such as > or |, is percent-encoded.
        return quote(self.redacted(url), safe=":/?#[]@!$&'()*+,;=%~")

    def _further(self, messages: Sequence[Message]) -> list[str]:
        titles = [self._title(message) for message in messages[MAX_MESSAGES : MAX_MESSAGES + MAX_TITLES]]
        rest = len(messages) - MAX_MESSAGES - MAX_TITLES
        return (["\n".join(titles)] if titles else []) + ([f"And {rest} more."] if rest > 0 else [])

    @cached_property
    def _redaction(self) -> Redaction:
        secrets = [secret.get_secret_value() for secret in self.settings.other_secrets]
        whole = []
        if self.settings.webhook_url is not None:
            url = self.settings.webhook_url.get_secret_value()
            whole += [url, urlsplit(url).path]
            secrets += [part.strip("/") for part in PUBLIC_PARTS.split(urlsplit(url).path)] + [urlsplit(url).query]
        if self.settings.smtp_url is not None:
            url, server = self.settings.smtp_url.get_secret_value(), self.settings.mail_server
            whole.append(url)
            secrets += [urlsplit(url).password or "", (server.password if server else None) or ""]
        return Redaction(secrets, whole)


def _escaped(text: str) -> str:
    """`text` as Slack wants it: no mentions and no links of its own, nor those of Markdown, which others read in it."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("](", f"]{NO_WIDTH}(").replace("@", f"@{NO_WIDTH}").replace("`", "'")
