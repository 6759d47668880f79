"""JSON over HTTP for all live sources: retries, time-outs, tokens that stay secret, errors with a remedy.

What the answers of one platform mean belongs to its own module.
"""

import json
import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urljoin, urlsplit

import requests
import tenacity
from urllib3.util import Retry

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.source_settings import MEGABYTE, Patience, SentToken
from shotspotter_assets.redaction import Redaction
from shotspotter_assets.sources.api.deadlines import Deadline, PunctualAdapter
from shotspotter_assets.sources.api.http_errors import REMEDIES, publisher_message, unreachable
from shotspotter_assets.sources.protocol import SourceError

RETRIED = (202, 429, 500, 502, 503, 504)
"""Statuses that are asked again. Socrata answers 202 while it still works on a query."""

JSON_TYPES = ("json", "text/plain")
"""Parts of content types that may hold JSON; ArcGIS servers call their JSON plain text."""

MAX_MESSAGE_CHARACTERS = 300
"""Of a publisher's own message, and of whatever else of an answer an error names."""

LOGGERS = ("urllib3.connectionpool", "urllib3.util.retry")
"""Loggers that write whole addresses, their query parameters included."""


class Token(NamedTuple):
    """A secret and how it is sent: in a header, or as a query parameter where `header` is null."""

    secret: str
    header: str | None
    parameter: str | None = None
    prefix: str = ""


def sent_token(city: str, address: str, sent: SentToken | None, secret: str | None) -> Token | None:
    """The token that a city's file names, with the content of its variable.

    Raises:
        SourceError: the variable is not set.
    """
    if sent is None:
        return None
    if not secret:
        raise SourceError(
            f"City {city}: {address}: no token; set the environment variable {sent.variable} where Dagster runs."
        )
    if sent.sent_as == "parameter":
        return Token(secret, header=None, parameter=sent.name)
    return Token(secret, header=sent.name, prefix=sent.prefix)


class Answer(NamedTuple):
    """The JSON of one answer, and the address of the next page where a Link header names one."""

    content: Any
    next_url: str | None


class _BrokenAnswerError(Exception):
    """An answer that may well be whole when it is asked for again."""


class JsonApi:
    """One publisher's API, for one `with` block.

    urllib3 repeats requests after 429 and 5xx, and honours Retry-After; tenacity repeats them after answers that end early
    or are not JSON, and after temporary errors that come as HTTP 200. Redirects are not followed, so that a token is only
    sent to the host in the city's file.
    """

    def __init__(self, city: City, patience: Patience, token: Token | None = None) -> None:
        """`city` has the name that messages have, and the limits of answers.

        Raises:
            SourceError: the token cannot be sent.
        """
        self._city, self._limits = city.name, city.limits
        self._deadline = Deadline(patience.answer_seconds)
        self._expanded_bytes = 0
        self._patience = patience
        self._token = token
        if token is not None and not (token.secret.isascii() and token.secret.isprintable() and token.secret.strip()):
            raise SourceError(
                f"City {city.name}: the token is empty or has characters that no token has; set it again."
            )
        self._redaction = Redaction([token.secret] if token is not None else [])
        self._filter = _WithoutToken(self.clean)

    def __enter__(self) -> Self:
        patience = self._patience
        self._session = requests.Session()
        self._session.auth = self._authorise
        retries = Retry(
            total=patience.retries,
            status_forcelist=RETRIED,
            allowed_methods=("GET",),
            backoff_factor=patience.backoff_seconds,
            backoff_jitter=patience.backoff_seconds,
            backoff_max=patience.longest_wait_seconds,
            retry_after_max=int(patience.longest_wait_seconds),
            raise_on_status=False,
        )
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, PunctualAdapter(self._deadline, retries))
        for name in LOGGERS:
            logging.getLogger(name).addFilter(self._filter)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in LOGGERS:
            logging.getLogger(name).removeFilter(self._filter)
        self._session.close()

    def get(self, url: str, parameters: Mapping[str, str | int] | None = None) -> Answer:
        """The JSON at an address.

        Raises:
            SourceError: no usable answer after all retries; the message has status, address without token, and remedy.
        """
        patience = self._patience
        # Not left to urllib3, which hands over bodies before they are whole.
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_BrokenAnswerError),
            stop=tenacity.stop_after_attempt(patience.retries + 1),
            wait=tenacity.wait_random_exponential(
                multiplier=2 * patience.backoff_seconds, max=patience.longest_wait_seconds
            ),
            reraise=True,
        )
        try:
            return retrying(self._get_once, url, parameters or {})
        except _BrokenAnswerError as broken:
            problem = f"{broken} {patience.retries + 1} times in a row; try again later"
        raise self.error(url, parameters, problem)

    def same_host(self, url: str, base: str) -> str:
        """`url`, which may be relative to `base`.

        Raises:
            SourceError: it leads to another host, where the token must not go.
        """
        absolute = urljoin(base, url)
        if urlsplit(absolute)[:2] != urlsplit(base)[:2]:
            raise self.error(base, None, f"the next page is said to be on another host: {self.clean(absolute)}")
        return absolute

    def error(self, url: str, parameters: Mapping[str, str | int] | None, problem: str) -> SourceError:
        """The error of an address, without the token."""
        query = "&".join(f"{name}={value}" for name, value in (parameters or {}).items())
        address = f"{url}{'&' if '?' in url else '?'}{query}" if parameters else url
        return SourceError(self.clean(f"City {self._city}: {address}: {problem}."))

    def clean(self, text: str) -> str:
        """`text` without the token."""
        return self._redaction.clean(text)

    def _quoted(self, text: str) -> str:
        """A text of the publisher's, without the token, and then cut."""
        return self._redaction.shortened(text, MAX_MESSAGE_CHARACTERS)

    def _authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # An `auth` of our own also keeps requests from sending what a netrc file has for the host.
        token = self._token
        if token is not None and token.header is not None:
            request.headers[token.header] = token.prefix + token.secret
        elif token is not None:
            request.prepare_url(request.url, {token.parameter: token.secret})
        return request

    def _get_once(self, url: str, parameters: Mapping[str, str | int]) -> Answer:
        patience = self._patience
        try:
            with self._session.get(
                url,
                params=dict(parameters),
                timeout=(patience.connect_seconds, patience.read_seconds),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = self._body(response, url, parameters)
        except requests.exceptions.RequestException as error:
            ended_early = isinstance(
                error, requests.exceptions.ChunkedEncodingError | requests.exceptions.ContentDecodingError
            )
            if ended_early and not self._deadline.is_over:
                failure: Exception = _BrokenAnswerError("the answer ended early")
            else:
                late = requests.exceptions.ReadTimeout()
                failure = self.error(url, parameters, unreachable(late if self._deadline.is_over else error, patience))
        else:
            return self._parsed(response, body, url, parameters)
        finally:
            self._deadline.stop()
        # Raised outside the handlers, as the errors that they caught may hold the token and would be shown with this one.
        raise failure

    def _body(self, response: requests.Response, url: str, parameters: Mapping[str, str | int]) -> bytearray:
        body = bytearray()
        for part in response.iter_content(1 << 16):  # which unpacks no more than that at a time
            body += part
            self._expanded_bytes += len(part)
            if self._deadline.is_over:
                break
            for limit, size in (("max_answer_mb", len(body)), ("max_expanded_mb", self._expanded_bytes)):
                allowed = getattr(self._limits, limit)
                if size > allowed * MEGABYTE:
                    what = "the answer is" if limit == "max_answer_mb" else "the answers together are"
                    raise self.error(url, parameters, f"{what} larger than {allowed:,} MB; {self._remedy(limit)}")
        if self._deadline.is_over:
            raise requests.exceptions.ReadTimeout
        return body

    def _content(self, body: bytearray, url: str, parameters: Mapping[str, str | int]) -> Any:
        values = sum(body.count(mark) for mark in (b"{", b"[", b","))
        if values > self._limits.max_cells:
            limit = f"more than {self._limits.max_cells:,} values"
            raise self.error(url, parameters, f"the answer has {limit}; {self._remedy('max_cells')}")
        try:
            return json.loads(body)
        except RecursionError:
            raise self.error(url, parameters, "the answer is nested too deeply; check the address") from None
        except ValueError:
            raise _BrokenAnswerError(f"the answer is not whole JSON ({len(body)} bytes)") from None

    @staticmethod
    def _remedy(limit: str) -> str:
        return f"raise limits.{limit} in the city's file, or ask for fewer rows at a time"

    def _parsed(
        self, response: requests.Response, body: bytearray, url: str, parameters: Mapping[str, str | int]
    ) -> Answer:
        status, kind = response.status_code, response.headers.get("Content-Type", "")
        if response.is_redirect:
            target = self._quoted(response.headers["Location"].split("?")[0])
            raise self.error(
                url, parameters, f"HTTP {status}: moved to {target}; write the new address in the city's file"
            )
        if status >= 400 or status == 202:
            remedy = REMEDIES.get(status, "try again later" if status >= 500 or status == 202 else "see the message")
            raise self.error(url, parameters, f"HTTP {status}: {self._quoted(publisher_message(body))}; {remedy}")
        if kind and not any(name in kind.lower() for name in JSON_TYPES):
            raise self.error(
                url,
                parameters,
                f"HTTP {status}: answered with {self._quoted(kind)} instead of JSON ({self._quoted(publisher_message(body))}); "
                "check that the address in the city's file is that of an API and needs no log-in",
            )
        content = self._content(body, url, parameters)
        if isinstance(content, dict) and content.get("error"):
            self._refuse(content, url, parameters)
        link = response.links.get("next", {}).get("url")
        return Answer(content, link)

    def _refuse(self, content: Mapping[str, Any], url: str, parameters: Mapping[str, str | int]) -> None:
        error = content["error"]
        code = error.get("code") if isinstance(error, dict) else content.get("code")
        number = code if isinstance(code, int) else 0
        code, message = self._quoted(str(code)), self._quoted(publisher_message(json.dumps(content).encode()))
        if number >= 500 or number == 429:
            raise _BrokenAnswerError(f"HTTP 200 with error {code}: {message}")
        remedy = (
            "the layer needs a log-in: name its token in source.token"
            if number in (498, 499)
            else REMEDIES.get(number, "see the message")
        )
        raise self.error(url, parameters, f"HTTP 200 with error {code}: {message}; {remedy}")


class _WithoutToken(logging.Filter):
    """Takes the token out of log records."""

    def __init__(self, clean: Callable[[str], str]) -> None:
        super().__init__()
        self._clean = clean

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._clean(record.getMessage()), ()
        return True
