"""Objects in an S3 bucket, through a boto3 client. What their keys mean (asset, city, day) belongs to `store`."""

import os
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from shotspotter_assets.redaction import Redaction, environment_secrets
from shotspotter_assets.storage.errors import StoreUnreadableError, StoreUnwritableError

MAX_REASON_CHARACTERS: Final = 300

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
    and its `max_pool_connections` limits the number of requests at a time.
    """

    def __init__(self, bucket: str, prefix: str, client: Any) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.name = f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"
        self._client = client
        self._bucket_exists = False

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
            self._client.put_object(Bucket=self.bucket, Key=self.prefix + path, Body=data)
        except (ClientError, BotoCoreError) as error:
            raise StoreUnwritableError(self.name, _reason(error)) from None

    def read(self, path: str) -> bytes:
        """The object's content.

        Raises:
            FileNotFoundError: there is no such object.
            StoreUnreadableError: no such bucket, access denied, or the server does not answer.
        """
        try:
            body: bytes = self._client.get_object(Bucket=self.bucket, Key=self.prefix + path)["Body"].read()
        except (ClientError, BotoCoreError) as error:
            if _code(error) in ("NoSuchKey", "404"):
                raise FileNotFoundError(path) from None
            raise StoreUnreadableError(self.name, _reason(error)) from None
        return body

    def exists(self, path: str) -> bool:
        """Whether the object is there, by a HEAD request.

        Raises:
            StoreUnreadableError: no such bucket, access denied, or the server does not answer.
        """
        try:
            self._client.head_object(Bucket=self.bucket, Key=self.prefix + path)
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
            self._client.delete_object(Bucket=self.bucket, Key=self.prefix + path)
        except (ClientError, BotoCoreError) as error:
            raise StoreUnwritableError(self.name, _reason(error)) from None

    def folders_with(self, folder: str, prefix: str, first: str, last: str, file: str) -> list[str]:
        """Names of the folders in `folder`, from `prefix + first` to `prefix + last`, that hold `file`.

        One paginated listing that starts near the first name and stops after the last one. It starts a little early
        because SeaweedFS, unlike S3, leaves out the whole folder that the start names.
        """
        start = f"{self.prefix}{folder}/"
        request = {"Bucket": self.bucket, "Prefix": start + prefix, "StartAfter": start + prefix + first[:-1]}
        names: list[str] = []
        try:
            for page in self._client.get_paginator("list_objects_v2").paginate(**request):
                for item in page.get("Contents", []):
                    name, _, rest = item["Key"].removeprefix(start).partition("/")
                    if name > prefix + last:
                        return names
                    if rest == file and name >= prefix + first:
                        names.append(name)
        except (ClientError, BotoCoreError) as error:
            raise StoreUnreadableError(self.name, _reason(error)) from None
        return names

    def _require_bucket(self) -> None:
        """A HEAD answers 404 for a missing object and a missing bucket alike."""
        if self._bucket_exists:
            return
        try:
            self._client.head_bucket(Bucket=self.bucket)
        except (ClientError, BotoCoreError) as error:
            raise StoreUnreadableError(self.name, _reason(error)) from None
        self._bucket_exists = True


def _code(error: ClientError | BotoCoreError) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def _reason(error: ClientError | BotoCoreError) -> str:
    """Why, without keys; the error itself is not handed on, as it would be shown with them."""
    redaction = Redaction(environment_secrets(os.environ))
    return _REASONS.get(_code(error)) or redaction.shortened(str(error), MAX_REASON_CHARACTERS)
