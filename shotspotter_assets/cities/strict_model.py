"""The base of all parts of a city's file, and addresses in them."""

import re
from typing import Annotated, Final
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BaseModel

SECRET_NAME: Final = re.compile(
    r"(?i)token|secret|password|passwd|pwd|signature|credential|(?:api|access|subscription|auth)[-_]?key|^(?:key|sig|auth|code)$"
)


class CityFileError(ValueError):
    """An unusable YAML file, or folder of city files; the message names file, key and remedy."""


class StrictModel(BaseModel, frozen=True, extra="forbid"):
    """Frozen part of a city's file that refuses unknown keys."""


def _is_safe(url: str) -> str:
    parts = urlsplit(url)
    is_local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not parts.hostname or (parts.scheme != "https" and not (parts.scheme == "http" and is_local)):
        raise ValueError("must be an https:// address (http:// only for this machine's own)")
    if parts.username or parts.password:
        raise ValueError("must not hold a user or password; name an environment variable as the token's instead")
    secrets = [name for name, value in parse_qsl(parts.query) if SECRET_NAME.search(name) and value[:1] != "{"]
    if secrets:
        raise ValueError(
            f"must not hold a secret in its query ({', '.join(secrets)}); put it into an environment variable and write "
            f"token: {{variable: GATEWAY_TOKEN, sent_as: parameter, name: {secrets[0]}}} (token_variable for socrata)"
        )
    return url


SafeUrl = Annotated[str, AfterValidator(_is_safe)]  # an address without secrets; https, except for this machine's own
