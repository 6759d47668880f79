"""Objects in an S3 bucket, through a boto3 client."""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from mimetypes import guess_type
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from shotspotter_assets.storage.errors import unusable
from shotspotter_assets.storage.redaction import Redaction, environment_secrets

MAX_REASON_CHARACTERS: Final = 300
CHANGED: Final = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412", "409")
"""Codes of a conditional write whose object was changed, is being changed, or was deleted in between."""
MAX_ATTEMPTS: Final = 100  # maximum number of conditional writes of an object before the store counts as unusable
FIRST_WAIT_S: Final = 0.05  # maximum of the random wait after the first attempt, which doubles with each
MAX_WAIT_S: Final = 1.0  # maximum of all such waits


class S3Objects:
    """Reads and writes objects by relative key through a boto3 client, with the errors of `LocalFiles`."""

    threads = 10  # as many as a boto3 client has connections by default

    def __init__(self, bucket: str, prefix: str, client: Any) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.name = f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"
        self._client = client

    def uri(self, path: str) -> str:
        return f"{self.name}/{path}"

    def write(self, path: str, data: bytes) -> None:
        """Put the object (at most 5 GB) in one request, visible as a whole or not at all."""
        # A browser shows a page only if the object says that it is one.
        kind = {"ContentType": guessed} if (guessed := guess_type(path)[0]) else {}
        with self._blamed():
            self._client.put_object(Body=data, **(self._object(path) | kind))

    def alone(self, name: str) -> AbstractContextManager[None]:
        """Return at once, because S3 has no locks."""
        return nullcontext()

    def update(self, path: str, change: Callable[[bytes | None], bytes | None]) -> None:
        """Replace the object by `change` of its content, None without one, unless it was changed in between: then again."""
        for attempt in range(MAX_ATTEMPTS):
            before, condition = self._with_condition(path)
            after = change(before)
            if after is None or after == before or self._put_if(path, after, condition):
                return
            time.sleep(random.uniform(0, min(MAX_WAIT_S, FIRST_WAIT_S * 2**attempt)))  # noqa: S311  # no secret
        raise unusable(self.name, f"{path} was changed by others in {MAX_ATTEMPTS} attempts to write it")

    def _with_condition(self, path: str) -> tuple[bytes | None, dict[str, str]]:
        """Return an object's content with the condition that it is still the same, or still missing."""
        try:
            with self._blamed():
                answer = self._client.get_object(**self._object(path))
                return bytes(answer["Body"].read()), {"IfMatch": answer["ETag"]}
        except FileNotFoundError:
            return None, {"IfNoneMatch": "*"}

    def _put_if(self, path: str, data: bytes, condition: dict[str, str]) -> bool:
        """Put the object, and return True if the condition held."""
        with self._blamed():
            try:
                self._client.put_object(Body=data, **(self._object(path) | condition))
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in CHANGED:
                    return False
                raise
            return True

    def read(self, path: str) -> bytes:
        with self._blamed():
            return bytes(self._client.get_object(**self._object(path))["Body"].read())

    def exists(self, path: str) -> bool:
        try:
            with self._blamed():
                self._client.head_object(**self._object(path))
        except FileNotFoundError:
            return False
        return True

    def delete(self, path: str) -> None:
        with self._blamed():
            self._client.delete_object(**self._object(path))

    def folders_with(self, folder: str, prefix: str, first: str, last: str, file: str) -> list[str]:
        """Return the folders in `folder`, from `prefix + first` to `prefix + last`, that hold `file`."""
        start = f"{self.prefix}{folder}/"
        found: list[str] = []
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket,
            Prefix=start + prefix,
            # A little before the first name, because SeaweedFS, unlike S3, omits the whole folder of the start.
            StartAfter=start + prefix + first[:-1],
        )
        with self._blamed():
            for page in pages:
                for item in page.get("Contents", []):
                    name, _, rest = item["Key"].removeprefix(start).partition("/")
                    if name > prefix + last:
                        return found
                    if rest == file and name >= prefix + first:
                        found.append(name)
        return found

    def files_in(self, folder: str, *, named: str = "") -> set[str]:
        """Return the objects below `folder`, by key within it; only those whose keys within it begin with `named`."""
        start = f"{self.prefix}{folder}/"
        with self._blamed():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=start + named)
            return {item["Key"].removeprefix(start) for page in pages for item in page.get("Contents", [])}

    def _object(self, path: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.prefix + path}

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
                raise FileNotFoundError from None
            # The error itself may hold keys.
            reason = Redaction(environment_secrets(os.environ)).shortened(str(error), MAX_REASON_CHARACTERS)
            raise unusable(self.name, reason) from None
