"""Removal of secrets from texts that are logged, stored or shown."""

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import quote, quote_plus

MARK: Final = "***"  # replacement of a secret
MIN_SECRET_CHARACTERS: Final = 4  # shorter secrets would match everywhere
_URL_USER: Final = re.compile(r"(?<=://)[^/\s@?#]+@")
_NAMED: Final = re.compile(r"(?i)((?:token|key|secret|password|passwd|pwd|signature|sig)\s*[=:]\s*)[^&\s,;'\"]+")
_SECRET_VARIABLE: Final = re.compile(
    r"(?i).*(token|secret|password|passwd|api_?key|access_?key|credential).*(?<!_file)(?<!_path)(?<!_dir)(?<!_ur[il])"
)


class Redaction:
    """Filter of secrets: as they are, percent-encoded, and escaped for JSON, HTML and Python."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if len(secret) >= MIN_SECRET_CHARACTERS for form in _written_forms(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)", re.IGNORECASE)

    def clean(self, text: str) -> str:
        """Return `text` without the secrets, and without user and password of addresses."""
        return _URL_USER.sub(f"{MARK}@", self._pattern.sub(MARK, text))

    def shortened(self, text: str, characters: int) -> str:
        """Return `clean(text)`, cut to a number of characters only then, because a search does not find a part of a secret."""
        return self.clean(text)[:characters]


def without_credentials(text: str) -> str:
    """Return `text` without anything that looks like credentials (`password=...`, `https://user:password@`)."""
    return _NAMED.sub(rf"\1{MARK}", _URL_USER.sub(f"{MARK}@", text))


def environment_secrets(environ: Mapping[str, str]) -> list[str]:
    """Return the values of variables with the name of a secret, such as AWS_SECRET_ACCESS_KEY."""
    return [value for name, value in environ.items() if _SECRET_VARIABLE.fullmatch(name)]


def _written_forms(secret: str) -> Iterator[str]:
    escaped = json.dumps(secret, ensure_ascii=False)[1:-1]
    yield from (secret, repr(secret)[1:-1], html.escape(secret), json.dumps(secret)[1:-1], escaped)
    yield escaped.replace("/", r"\/")
    yield from (quote(secret), quote(secret, safe=""), quote_plus(secret), quote(quote(secret, safe=""), safe=""))
