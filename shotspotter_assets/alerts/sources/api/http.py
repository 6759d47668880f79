"""JSON over HTTP for all live sources: retries, time-outs, secret tokens, errors with a remedy."""

import json
import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urljoin, urlsplit

import requests
import tenacity
import urllib3.exceptions

from shotspotter_assets.alerts.sources.alert_source import SourceError
from shotspotter_assets.alerts.sources.tabular_settings import Patience, SentToken
from shotspotter_assets.storage.redaction import Redaction

RETRIED: Final = (202, 429, *range(500, 600))  # also ArcGIS's own codes; Socrata answers 202 while it works on a query
CONNECT_SECONDS: Final = 10.0
MAX_SILENCE_SECONDS: Final = 60.0  # maximum silence within an answer
FIRST_WAIT_SECONDS: Final = 1.0  # before a retry, doubled each time, with jitter
MAX_WAIT_SECONDS: Final = 120.0  # maximum wait before a retry, whatever the publisher asks for
MAX_ANSWER_MB: Final = 512  # maximum of all unpacked answers to one request for days
MAX_MESSAGE_CHARACTERS: Final = 200
CHUNK_BYTES: Final = 1 << 16
NEEDS_LOG_IN: Final = "the layer needs a log-in: name its token in source.token"

REMEDIES: Final = {
    400: "check the columns and `where` in the city's file against the publisher's names",
    401: "check the token",
    403: "check the token, and that it may read this data set",
    404: "check the address in the city's file; the publisher may have moved or withdrawn the data set",
    429: "the publisher limits requests; set a token if it offers one, or ask for fewer days",
    498: NEEDS_LOG_IN,
    499: NEEDS_LOG_IN,
}
LOGGER: Final = logging.getLogger("urllib3.connectionpool")  # logger of whole addresses, query parameters included


class Answer(NamedTuple):
    """JSON of one answer, and the next page's address in a Link header."""

    content: Any
    next_url: str | None


class _ProblemError(Exception):
    """A failed request, in words without address; `retry_after` (seconds) is None if a retry cannot help."""

    def __init__(self, problem: str, retry_after: float | None = None) -> None:
        super().__init__(problem)
        self.retry_after = retry_after


class JsonApi:
    """One publisher's API, for one `with` block; without redirects, so that the token stays with its host."""

    def __init__(
        self, city: str, patience: Patience, sent: SentToken | None, secret: str | None, error_in: Callable[[Any], Any]
    ) -> None:
        """Prepare requests; raise SourceError if the token is missing or cannot be sent."""
        problem = ""
        if sent is not None and not secret:
            problem = f"no token; set the environment variable {sent.variable} where Dagster runs"
        elif secret and not (secret.isascii() and secret.isprintable() and secret.strip()):
            problem = "the token is empty or has characters that no token has; set it again"
        if problem:
            raise SourceError(f"City {city}: {problem}.")
        self._city = city
        self._patience = patience
        self._sent = sent
        self._secret = secret or ""
        self._error_in = error_in
        self._redaction = Redaction([secret] if secret else [])
        self._received_bytes = 0
        self._until = monotonic() + patience.total_seconds

    def __enter__(self) -> Self:
        self._session = requests.Session()
        self._session.auth = self._authorise
        LOGGER.addFilter(self._redact_record)
        return self

    def __exit__(self, *_: object) -> None:
        LOGGER.removeFilter(self._redact_record)
        self._session.close()

    def get(self, url: str, parameters: Mapping[str, str | int] | None = None) -> Answer:
        """Return the JSON at an address; raise SourceError with status, address and remedy if all retries fail."""
        if monotonic() > self._until:
            seconds = f"{self._patience.total_seconds:g} s"
            problem = f"the last page did not come within {seconds} (source.patience); ask for fewer days"
            raise self.error(url, parameters, problem)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: getattr(error, "retry_after", None) is not None),
            stop=tenacity.stop_after_attempt(self._patience.retries + 1)
            | tenacity.stop_after_delay(self._patience.total_seconds),
            wait=self._wait_seconds,
            reraise=True,
        )
        try:
            return retrying(self._get_once, url, parameters or {})
        except _ProblemError as error:
            problem = str(error)
        # Raised outside the handler: a caught error may hold the token and would be shown as the context of this one.
        raise self.error(url, parameters, problem)

    def same_host(self, url: str, base: str) -> str:
        """Return `url`, relative to `base`, as a whole address; raise SourceError for another host."""
        absolute = urljoin(base, url)
        if urlsplit(absolute)[:2] != urlsplit(base)[:2]:
            raise self.error(base, None, f"the answer names a next page on another host: {urlsplit(absolute).hostname}")
        return absolute

    def error(self, url: str, parameters: Mapping[str, str | int] | None, problem: str) -> SourceError:
        """Return the error about an address, without the token."""
        query = "&".join(f"{name}={value}" for name, value in (parameters or {}).items())
        address = f"{url}{'&' if '?' in url else '?'}{query}" if parameters else url
        return SourceError(self._redaction.clean(f"City {self._city}: {address}: {problem}."))

    def _wait_seconds(self, state: tenacity.RetryCallState) -> float:
        longest = min(MAX_WAIT_SECONDS, self._patience.answer_seconds)
        asked_for = getattr(state.outcome and state.outcome.exception(), "retry_after", 0.0)
        first = FIRST_WAIT_SECONDS
        doubled = tenacity.wait_exponential_jitter(multiplier=first, max=longest, jitter=first)
        return min(max(doubled(state), asked_for), longest)

    def _authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # An `auth` of our own also keeps requests from sending what a netrc file has for the host.
        if self._sent is not None and self._sent.sent_as == "header":
            request.headers[self._sent.name] = self._sent.prefix + self._secret
        elif self._sent is not None:
            request.prepare_url(request.url, {self._sent.name: self._secret})
        return request

    def _redact_record(self, record: logging.LogRecord) -> bool:
        record.msg = self._redaction.clean(record.getMessage())
        record.args = ()
        return True

    def _get_once(self, url: str, parameters: Mapping[str, str | int]) -> Answer:
        patience = self._patience
        timeout = (CONNECT_SECONDS, min(MAX_SILENCE_SECONDS, patience.answer_seconds))
        try:
            with self._session.get(
                url, params=dict(parameters), timeout=timeout, allow_redirects=False, stream=True
            ) as response:
                return self._answer(response, self._body(response))
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            kind = type(error).__name__  # its text may hold the token
        remedy = "check the network and the address in the city's file, or raise source.patience there"
        raise _ProblemError(f"no whole answer, asked {patience.retries + 1} times ({kind}); {remedy}", 0)

    def _body(self, response: requests.Response) -> bytearray:
        """Return an answer's content; raise _ProblemError for one that is too large or comes too slowly."""
        until = monotonic() + self._patience.answer_seconds
        body = bytearray()
        # Unlike `iter_content`, `read1` returns what has arrived, so that a server that drips is given up in time.
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
            body += chunk
            self._received_bytes += len(chunk)
            if self._received_bytes > MAX_ANSWER_MB * 2**20:
                raise _ProblemError(f"the answers are larger than {MAX_ANSWER_MB:,} MB; ask for fewer days")
            if monotonic() > until:
                remedy = "raise source.patience in the city's file, or ask for fewer days"
                raise _ProblemError(f"no whole answer in {self._patience.answer_seconds:g} s; {remedy}")
        return body

    def _answer(self, response: requests.Response, body: bytearray) -> Answer:
        """Return the JSON of an answer; raise _ProblemError for refusals, redirects, errors within it, and no JSON."""
        status = response.status_code
        if response.is_redirect:
            host = urlsplit(response.headers["Location"]).hostname or "another path"
            raise _ProblemError(f"HTTP {status}: moved to {host}; write the new address in the city's file")
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            content = None
        error = self._error_in(content)
        if status >= 400 or status == 202:
            raise self._refusal(f"HTTP {status}", status, content, response.headers.get("Retry-After", ""))
        if error:
            code = next((part.get("code") for part in (error, content) if isinstance(part, dict)), None)
            raise self._refusal(f"HTTP {status} with error {self._quoted(code)}", code, content)
        if content is None:
            problem = f"HTTP {status}: the answer is not whole JSON ({len(body)} bytes)"
            remedy = "check that the address in the city's file is an API's and needs no log-in, or try again later"
            raise _ProblemError(f"{problem}; {remedy}", 0)
        return Answer(content, response.links.get("next", {}).get("url"))

    def _refusal(self, what: str, code: object, content: Any, retry_after: str = "") -> _ProblemError:
        fields = content if isinstance(content, dict) else {}
        texts = _texts(fields.get("message")) or _texts(self._error_in(content))
        message = self._quoted(" ".join(" ".join(text.split()) for text in texts))
        number = code if isinstance(code, int) else 0
        is_temporary = number in RETRIED
        remedy = REMEDIES.get(number, "try again later" if is_temporary else "see the publisher's documentation")
        wait = float(retry_after) if retry_after.isdecimal() else 0.0
        return _ProblemError(f"{what}{message and ': '}{message}; {remedy}", wait if is_temporary else None)

    def _quoted(self, text: object) -> str:
        return self._redaction.shortened(str(text), MAX_MESSAGE_CHARACTERS)


def _texts(error: object) -> list[str]:
    """Return the texts of a publisher's error: its message and details, or all of its texts without a message."""
    if isinstance(error, dict):
        error = [error["message"], error.get("details")] if error.get("message") else list(error.values())
    if isinstance(error, list):
        return [text for part in error for text in _texts(part)]
    return [error] if isinstance(error, str) else []
