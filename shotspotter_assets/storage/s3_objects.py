"""Objects in an S3 bucket, through a boto3 client. What their keys mean (asset, city, day) belongs to `store`."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from mimetypes import guess_type
from typing import Any, Final, TypeVar

from botocore import exceptions
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    SSLError,
)
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from shotspotter_assets.redaction import Redaction, environment_secrets
from shotspotter_assets.storage.errors import StoreUnreadableError, StoreUnwritableError

MAX_REASON_CHARACTERS: Final = 300

MAX_WAIT_S: Final = 10.0
"""Between two attempts, the first of which follow each other within a second."""

MAX_UPDATE_ATTEMPTS: Final = 20
_CHANGED_MEANWHILE: Final = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")

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
    and its `max_pool_connections` limits the number of requests at a time. A server that is away or busy is asked again for
    `patience_s`, whatever the client's own retries, whose number in all and of all threads together is limited.
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
            before_sleep=self._tell_once,
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
        try:
            self._ask(lambda: self._put(path, data))
        except (ClientError, BotoCoreError) as error:
            raise StoreUnwritableError(self.name, _reason(error)) from None

    def update(self, path: str, change: Callable[[bytes | None], bytes]) -> None:
        """Replace the object by what `change` makes of it, None where it is missing.

        The server writes only if the object is still the one that was read; where somebody was faster, `change` is called
        again with what they wrote. It may see its own change, if the answer to the write was lost.

        Raises:
            StoreUnreadableError, StoreUnwritableError: see `read` and `write`; writers were faster again and again.
        """
        for _ in range(MAX_UPDATE_ATTEMPTS):
            content, condition = self._read_with_condition(path)
            data = change(content)
            try:
                self._ask(lambda: self._put(path, data, **condition))  # noqa: B023 - called before the next turn
            except (ClientError, BotoCoreError) as error:
                if _code(error) not in _CHANGED_MEANWHILE:
                    raise StoreUnwritableError(self.name, _reason(error)) from None
            else:
                return
        raise StoreUnwritableError(self.name, f"others have written {path} {MAX_UPDATE_ATTEMPTS} times meanwhile")

    def _read_with_condition(self, path: str) -> tuple[bytes | None, dict[str, str]]:
        """The object's content, and the condition that it is still this one."""
        try:
            return self._ask(lambda: self._get(path))
        except (ClientError, BotoCoreError) as error:
            if _code(error) in ("NoSuchKey", "404"):
                return None, {"IfNoneMatch": "*"}
            raise StoreUnreadableError(self.name, _reason(error)) from None

    def _get(self, path: str) -> tuple[bytes, dict[str, str]]:
        answer = self._client.get_object(Bucket=self.bucket, Key=self.prefix + path)
        return bytes(answer["Body"].read()), {"IfMatch": answer["ETag"]}

    def _put(self, path: str, data: bytes, **condition: str) -> None:
        # A browser shows a page only if it is told that it is one.
        kind = {"ContentType": guessed} if (guessed := guess_type(path)[0]) else {}
        self._client.put_object(Bucket=self.bucket, Key=self.prefix + path, Body=data, **kind, **condition)

    def alone(self, name: str) -> AbstractContextManager[None]:
        """Nothing is waited for: S3 has no locks."""
        return nullcontext()

    def read(self, path: str) -> bytes:
        """The object's content.

        Raises:
            FileNotFoundError: there is no such object.
            StoreUnreadableError: no such bucket, access denied, or the server does not answer.
        """
        try:
            return self._ask(lambda: self._get(path))[0]
        except (ClientError, BotoCoreError) as error:
            if _code(error) in ("NoSuchKey", "404"):
                raise FileNotFoundError(path) from None
            raise StoreUnreadableError(self.name, _reason(error)) from None

    def exists(self, path: str) -> bool:
        """Whether the object is there, by a HEAD request.

        Raises:
            StoreUnreadableError: no such bucket, access denied, or the server does not answer.
        """
        try:
            self._ask(lambda: self._client.head_object(Bucket=self.bucket, Key=self.prefix + path))
        except (ClientError, BotoCoreError) as error:
            if _code(error) in ("NoSuchKey", "404"):
                self._require_bucket()
                return False
            raise StoreUnreadableError(self.name, _reason(error)) from None
        return True

    def delete(self, path: str) -> None:
        """Remove the object; no error if it is not there.

        Raises:
            StoreUnwritableError: no such bucket, access denied, or the server does not answer.
        """
        try:
            self._ask(lambda: self._client.delete_object(Bucket=self.bucket, Key=self.prefix + path))
        except (ClientError, BotoCoreError) as error:
            raise StoreUnwritableError(self.name, _reason(error)) from None

    def folders_with(self, folder: str, prefix: str, first: str, last: str, file: str) -> list[str]:
        """Names of the folders in `folder`, from `prefix + first` to `prefix + last`, that hold `file`.

        One paginated listing that starts near the first name and stops after the last one. It starts a little early
        because SeaweedFS, unlike S3, leaves out the whole folder that the start names.
        """
        try:
            return self._ask(lambda: list(self._folders_with(f"{self.prefix}{folder}/", prefix, first, last, file)))
        except (ClientError, BotoCoreError) as error:
            raise StoreUnreadableError(self.name, _reason(error)) from None

    def paths(self, folder: str) -> list[str]:
        """The objects below a folder, relative to the store's root; one paginated listing."""
        pages = self._client.get_paginator("list_objects_v2")

        def listed() -> list[str]:
            found = pages.paginate(Bucket=self.bucket, Prefix=f"{self.prefix}{folder}/")
            return [item["Key"].removeprefix(self.prefix) for page in found for item in page.get("Contents", [])]

        try:
            return self._ask(listed)
        except (ClientError, BotoCoreError) as error:
            raise StoreUnreadableError(self.name, _reason(error)) from None

    def _folders_with(self, start: str, prefix: str, first: str, last: str, file: str) -> Iterator[str]:
        request = {"Bucket": self.bucket, "Prefix": start + prefix, "StartAfter": start + prefix + first[:-1]}
        for page in self._client.get_paginator("list_objects_v2").paginate(**request):
            for item in page.get("Contents", []):
                name, _, rest = item["Key"].removeprefix(start).partition("/")
                if name > prefix + last:
                    return
                if rest == file and name >= prefix + first:
                    yield name

    def _ask(self, request: Callable[[], _Result]) -> _Result:
        answer = self._retrying(request)
        self._is_away = False
        return answer

    def _tell_once(self, state: RetryCallState) -> None:
        if not self._is_away and state.outcome is not None:
            self._is_away = True
            error = state.outcome.exception()
            assert isinstance(error, ClientError | BotoCoreError)
            _log.warning("%s: %s. It is asked again for %g s.", self.name, _reason(error), self._patience_s)

    def _require_bucket(self) -> None:
        """A HEAD answers 404 for a missing object and a missing bucket alike."""
        if self._bucket_exists:
            return
        try:
            self._ask(lambda: self._client.head_bucket(Bucket=self.bucket))
        except (ClientError, BotoCoreError) as error:
            raise StoreUnreadableError(self.name, _reason(error)) from None
        self._bucket_exists = True


def _is_temporary(error: BaseException) -> bool:
    """Whether the server is away or busy, so that asking again may help."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or status == 429 or _code(error) == "RequestTimeout"
    return isinstance(error, exceptions.ConnectionError | HTTPClientError | IncompleteReadError) and not isinstance(
        error, SSLError
    )


def _code(error: ClientError | BotoCoreError) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def _reason(error: ClientError | BotoCoreError) -> str:
    """Why, without keys; the error itself is not handed on, as it would be shown with them."""
    redaction = Redaction(environment_secrets(os.environ))
    return _REASONS.get(_code(error)) or redaction.shortened(str(error), MAX_REASON_CHARACTERS)
