"""Objects in an S3 bucket, through a boto3 client. What their keys mean (asset, city, day) belongs to `store`."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from mimetypes import guess_type
from typing import Any, Final, TypeVar

from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError, SSLError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from shotspotter_assets.redaction import Redaction, environment_secrets
from shotspotter_assets.storage.errors import StoreUnreadableError, StoreUnwritableError

MAX_REASON_CHARACTERS: Final = 300

MAX_WAIT_S: Final = 10.0
"""Between two attempts, the first of which follow each other within a second."""

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")

_REASONS = {
    "NoSuchBucket": "no such bucket",
    "404": "no such bucket",
    "AccessDenied": "access denied",
    "403": "access denied, or wrong credentials",
    "InvalidAccessKeyId": "wrong access key",
    "SignatureDoesNotMatch": "wrong secret key",
}


class S3Objects:
    """Reads and writes objects under `s3://bucket/prefix` by their relative key.

    `client` is a boto3 S3 client, as from dagster-aws's `S3Resource(...).get_client()`. It is used from several threads,
    and its `max_pool_connections` limits the number of concurrent requests. Requests to a server that is away or busy are
    repeated for `patience_s` seconds, as all threads together share the limited number of the client's own retries.
    """

    def __init__(self, bucket: str, prefix: str, client: Any, patience_s: float) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.name = f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"
        self._client = client
        self._bucket_exists = False
        self._is_away = False
        self._retrying = Retrying(
            retry=retry_if_exception(_is_temporary),
            stop=stop_after_delay(patience_s),
            wait=wait_random_exponential(multiplier=0.5, max=MAX_WAIT_S),
            before_sleep=self._log_outage,
            reraise=True,
        )
        self._patience_s = patience_s

    @property
    def connections(self) -> int:
        """Maximum number of the client's requests at a time."""
        return int(self._client.meta.config.max_pool_connections)

    def uri(self, path: str) -> str:
        """The object's `s3://` address."""
        return f"{self.name}/{path}"

    def write(self, path: str, data: bytes) -> None:
        """Put the object (at most 5 GB) with one request, which S3 makes visible as a whole or not at all.

        Raises:
            StoreUnwritableError: no such bucket, access denied, or the server does not answer.
        """
        # A browser shows a page only if the object says that it is one.
        kind = {"ContentType": guessed} if (guessed := guess_type(path)[0]) else {}
        self._ask(lambda: self._client.put_object(**self._object(path), Body=data, **kind), StoreUnwritableError)

    def alone(self, name: str) -> AbstractContextManager[None]:
        """Does not wait, as S3 has no locks."""
        return nullcontext()

    def read(self, path: str) -> bytes:
        """The object's content.

        Raises:
            FileNotFoundError: there is no such object.
            StoreUnreadableError: no such bucket, access denied, or the server does not answer.
        """
        return self._ask(lambda: bytes(self._client.get_object(**self._object(path))["Body"].read()))

    def exists(self, path: str) -> bool:
        """Whether the object is there, by a HEAD request.

        Raises:
            StoreUnreadableError: no such bucket, access denied, or the server does not answer.
        """
        try:
            self._ask(lambda: self._client.head_object(**self._object(path)))
        except FileNotFoundError:
            self._require_bucket()
            return False
        return True

    def delete(self, path: str) -> None:
        """Remove the object; no error if it is not there.

        Raises:
            StoreUnwritableError: no such bucket, access denied, or the server does not answer.
        """
        self._ask(lambda: self._client.delete_object(**self._object(path)), StoreUnwritableError)

    def folders_with(self, folder: str, prefix: str, first: str, last: str, file: str) -> list[str]:
        """Names of the folders in `folder`, from `prefix + first` to `prefix + last`, that hold `file`.

        One paginated listing that starts near the first name and stops after the last one. It starts a little early
        because SeaweedFS, unlike S3, leaves out the whole folder that the start names.
        """
        return self._ask(lambda: list(self._folders_with(f"{self.prefix}{folder}/", prefix, first, last, file)))

    def _object(self, path: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.prefix + path}

    def _folders_with(self, start: str, prefix: str, first: str, last: str, file: str) -> Iterator[str]:
        request = {"Bucket": self.bucket, "Prefix": start + prefix, "StartAfter": start + prefix + first[:-1]}
        for page in self._client.get_paginator("list_objects_v2").paginate(**request):
            for item in page.get("Contents", []):
                name, _, rest = item["Key"].removeprefix(start).partition("/")
                if name > prefix + last:
                    return
                if rest == file and name >= prefix + first:
                    yield name

    def _ask(
        self,
        request: Callable[[], _Result],
        failure: type[StoreUnreadableError | StoreUnwritableError] = StoreUnreadableError,
    ) -> _Result:
        """The answer to a request.

        Raises:
            FileNotFoundError: a request to read an object that does not exist.
            StoreUnreadableError, StoreUnwritableError: `failure`, with a reason that holds no keys.
        """
        try:
            answer = self._retrying(request)
        except (ClientError, BotoCoreError) as error:
            if _code(error) in ("NoSuchKey", "404") and failure is StoreUnreadableError:
                raise FileNotFoundError from None
            raise failure(self.name, _reason(error)) from None
        self._is_away = False
        return answer

    def _log_outage(self, state: RetryCallState) -> None:
        """Log an outage once."""
        if not self._is_away and state.outcome is not None:
            self._is_away = True
            error = state.outcome.exception()
            assert isinstance(error, ClientError | BotoCoreError)
            _log.warning("%s: %s. Requests are repeated for %g s.", self.name, _reason(error), self._patience_s)

    def _require_bucket(self) -> None:
        """A HEAD answers 404 for a missing object and a missing bucket alike."""
        if not self._bucket_exists:
            try:
                self._ask(lambda: self._client.head_bucket(Bucket=self.bucket))
            except FileNotFoundError:
                raise StoreUnreadableError(self.name, "no such bucket") from None
            self._bucket_exists = True


def _is_temporary(error: BaseException) -> bool:
    """Whether the server is away or busy, so that a repeated request may succeed."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or status == 429 or _code(error) == "RequestTimeout"
    return isinstance(error, exceptions.ConnectionError | HTTPClientError | IncompleteReadError) and not isinstance(
        error, SSLError
    )


def _code(error: ClientError | BotoCoreError) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def _reason(error: ClientError | BotoCoreError) -> str:
    """The reason without keys; the error itself may hold them."""
    redaction = Redaction(environment_secrets(os.environ))
    return _REASONS.get(_code(error)) or redaction.shortened(str(error), MAX_REASON_CHARACTERS)
