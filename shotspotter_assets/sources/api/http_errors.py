"""What went wrong with a request, in words, and what to do about it."""

import json
from typing import Final

import requests
from urllib3.exceptions import ReadTimeoutError

from shotspotter_assets.cities.source_settings import Patience

REMEDIES: Final = {
    400: "check the columns and `where` in the city's file against the publisher's names",
    401: "check the token",
    403: "check the token, and that it may read this data set",
    404: "check the address in the city's file; the publisher may have moved or withdrawn the data set",
    429: "the publisher limits requests; set a token if it offers one, or ask for fewer days",
    498: "the layer needs a log-in: name its token in source.token",
    499: "the layer needs a log-in: name its token in source.token",
}
"""What to do, by HTTP status or ArcGIS's own code."""


def unreachable(error: requests.exceptions.RequestException, patience: Patience) -> str:
    """Why a request had no answer, and what to do. The texts of such errors may hold the token and are not used."""
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    if isinstance(error, requests.exceptions.SSLError):
        return "the host's certificate cannot be verified; check the address, or the certificates of this machine"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection within {patience.connect_seconds:g} s, asked {patience.retries + 1} times"
    if isinstance(error, requests.exceptions.ReadTimeout) or isinstance(reason, ReadTimeoutError):
        return (
            f"no whole answer in time ({patience.read_seconds:g} s without data, {patience.answer_seconds:g} s in all); "
            "raise source.patience in the city's file, or ask for fewer days"
        )
    if isinstance(error, requests.exceptions.ConnectionError):
        return "cannot be reached; check the network, the proxy settings and the address in the city's file"
    return f"cannot be asked ({type(error).__name__}); check the address in the city's file"


def publisher_message(body: bytes | bytearray) -> str:
    """The publisher's own message in the body of an error, whole: who writes it redacts it and cuts it then."""
    text = body.decode(errors="replace")
    try:
        content = json.loads(text)
        error = content.get("error")
        content = error if isinstance(error, dict) else content
        details = " ".join(str(detail) for detail in content.get("details") or ())
        text = f"{content.get('message') or error or text} {details}"
    except (ValueError, AttributeError, TypeError, RecursionError):
        pass
    return " ".join(text.split()) or "no message"
