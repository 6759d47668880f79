"""Takes secrets out of texts before anybody sees, logs, stores or cuts them.

A text is redacted whole and cut afterwards: what a cut leaves of a secret is no longer found by looking for the secret.
"""

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import quote, quote_plus

MARK: Final = "***"
"""What stands in place of a secret."""

RUN_CHARACTERS: Final = 8
"""A run of so many characters of a secret, in any of its written forms, is taken out."""

MIN_SECRET_CHARACTERS: Final = 4
"""Shorter ones would be found everywhere."""

_URL_USER: Final = re.compile(r"(?<=://)[^/\s@?#]+@")
_NAMED: Final = re.compile(
    r"(?i)((?:token|key|secret|password|passwd|pwd|signature|sig)\s*[=:]\s*)[^&\s,;'\"]+",
)
_SECRET_VARIABLE: Final = re.compile(
    r"(?i).*(token|secret|password|passwd|api_?key|access_?key|credential).*(?<!_file)(?<!_path)(?<!_dir)(?<!_ur[il])"
)


class Redaction:
    """Takes some secrets, and runs of their characters, out of texts.

    Found are the secrets as they stand and as they are written into addresses, JSON, HTML and base64 (whatever stands before
    them in what is encoded, as in `user:password`).
    """

    def __init__(self, secrets: Iterable[str], whole: Iterable[str] = ()) -> None:
        """`whole` are texts such as addresses, parts of which are no secret."""
        forms = {form for secret in secrets if len(secret) >= MIN_SECRET_CHARACTERS for form in _written_forms(secret)}
        short = {form for form in forms if len(form) < RUN_CHARACTERS}
        self._whole = sorted(short | {text for text in whole if len(text) >= MIN_SECRET_CHARACTERS}, key=len)[::-1]
        self._runs = frozenset(run for form in forms for run in _runs(form))

    def clean(self, text: str) -> str:
        """`text` without the secrets, and without the user and password of an address."""
        for whole in self._whole:
            text = text.replace(whole, MARK)
        spans: list[tuple[int, int]] = []
        for at, run in enumerate(_runs(text)) if self._runs else ():
            if run in self._runs:
                goes_on = bool(spans) and at <= spans[-1][1]
                spans.append((spans.pop()[0] if goes_on else at, at + RUN_CHARACTERS))
        for start, stop in reversed(spans):
            text = text[:start] + MARK + text[stop:]
        return _URL_USER.sub(f"{MARK}@", text)

    def shortened(self, text: str, characters: int, ending: str = "") -> str:
        """`text` without the secrets, in at most so many characters and the ending of one that was cut."""
        cleaned = self.clean(text)
        return cleaned if len(cleaned) <= characters else cleaned[:characters] + ending


def without_credentials(text: str) -> str:
    """`text` without what looks like anybody's credentials (`password=...`, `https://user:password@`)."""
    return _NAMED.sub(rf"\1{MARK}", _URL_USER.sub(f"{MARK}@", text))


def environment_secrets(environ: Mapping[str, str]) -> list[str]:
    """Values of the variables whose names say that they hold a secret, such as AWS_SECRET_ACCESS_KEY."""
    return [value for name, value in environ.items() if _SECRET_VARIABLE.fullmatch(name)]


def _runs(text: str) -> Iterator[str]:
    return (text[at : at + RUN_CHARACTERS] for at in range(len(text) - RUN_CHARACTERS + 1))


def _written_forms(secret: str) -> Iterator[str]:
    """The secret as it may be written somewhere."""
    yield secret
    yield html.escape(secret)
    yield repr(secret)[1:-1]
    for quoted in (quote(secret, safe=""), quote(secret), quote_plus(secret), quote(quote(secret, safe=""), safe="")):
        yield quoted
        yield re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), quoted)
    for escaped in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield escaped
        yield escaped.replace("/", r"\/")
    for special in (r"[^A-Za-z0-9]", r"[+&<>']"):  # as other languages' JSON writes them
        yield re.sub(special, lambda sign: f"\\u{ord(sign[0]):04x}", secret)
        yield re.sub(special, lambda sign: f"\\u{ord(sign[0]):04X}", secret)
    for before in range(3):
        # Without the signs that depend on what stands before and after it too.
        encoded = base64.b64encode(b"\0" * before + secret.encode()).decode().rstrip("=")
        inner = encoded[(0, 2, 3)[before] : len(encoded) - (0 if (before + len(secret.encode())) % 3 == 0 else 1)]
        if len(inner) > MIN_SECRET_CHARACTERS:
            yield inner
            yield inner.translate(str.maketrans("+/", "-_"))
