"""The base of all parts of a city's file, addresses in them, and problems of a file in words."""

import re
from difflib import get_close_matches
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BaseModel

NAME_PATTERN: Final = r"^[a-z][a-z0-9_]*$"
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


MIN_SIMILARITY: Final = 0.7  # minimum similarity of a suggested key
MIN_SIMILARITY_IN_SECTION: Final = 0.6  # minimum of a key of the same section, which is likelier to be meant
REASONS: Final = {"missing": "is missing", "tuple_type": "write a list, such as [first, second]"}  # by pydantic's type


def explain(problem: Any, root: dict[str, Any]) -> str:
    """Return the key of a problem and the reason, without the value, which may be a token."""
    keys: list[str] = []
    section = root
    schema = root
    for part in problem["loc"]:
        if part == "[key]":
            break
        if not _kinds(schema):  # pydantic's path also names the kind of a source or factor
            keys.append(str(part))
        section = schema
        schema = _below(root, schema, part)
    reason = _hint(keys, section, root) if problem["type"] == "extra_forbidden" else _reason(problem, schema)
    return f"{'.'.join(keys) or 'file'}: {reason}"


def _reason(problem: Any, schema: dict[str, Any]) -> str:
    """Return the reason of a problem with the value of a known key, which has a JSON schema."""
    error = problem["type"]
    reason: str = REASONS.get(error) or problem["msg"].removeprefix("Value error, ")
    if error.startswith("date"):
        return f"write the date as YYYY-MM-DD ({reason})"
    if error.startswith("union_tag") or error == "model_attributes_type":
        kinds = list(_kinds(schema))
        return f"needs an allowed kind, such as {{kind: {kinds[0]}, ...}} (allowed: {', '.join(kinds)})"
    if error in ("model_type", "dict_type"):
        # The required keys, or all keys if none is required, with their defaults.
        properties = schema.get("properties", {"name": {}})
        defaults = {key: properties[key].get("default") for key in schema.get("required", properties)}
        example = ", ".join(f"{key}: {default or '...'}" for key, default in defaults.items())
        return f"write keys and values, such as {{{example}}}"
    if error == "string_pattern_mismatch" and problem["ctx"]["pattern"] == NAME_PATTERN:
        return "use lowercase letters, digits and _, with a letter first"
    return reason


def _hint(keys: list[str], section: dict[str, Any], root: dict[str, Any]) -> str:
    """Return the keys that an unknown key may stand for, of its section or of another one."""
    least = MIN_SIMILARITY if section is root else MIN_SIMILARITY_IN_SECTION
    near = get_close_matches(keys[-1], section["properties"], 1, least)
    if not near:
        others = (path for path in sorted(_paths(root, root)) if path != ".".join(keys) and ".source." not in path)
        paths = {path: path.rpartition(".")[2] for path in others}
        similar = get_close_matches(keys[-1], set(paths.values()), 1, MIN_SIMILARITY)
        near = [path for path, key in paths.items() if key in similar]
    hint = f"did you mean {' or '.join(near)}?" if near else f"allowed: {', '.join(section['properties'])}"
    return f"unknown key; {hint}"


def _kinds(schema: dict[str, Any]) -> dict[str, str]:
    return schema.get("discriminator", {}).get("mapping", {})


def _below(root: dict[str, Any], schema: dict[str, Any], key: str | int) -> dict[str, Any]:
    """Return the JSON schema below a key, a place in a list, or a kind; empty without one."""
    if kinds := _kinds(schema):
        schema_below: Any = {"$ref": kinds[key]} if key in kinds else {}
    else:
        patterns = schema.get("patternProperties", {}).values()
        others = (*patterns, schema.get("additionalProperties"), schema.get("items"))
        other = next((schema for schema in others if isinstance(schema, dict)), {})
        schema_below = schema.get("properties", {}).get(key) or other
        schema_below = schema_below.get("anyOf", [schema_below])[0]
    return root["$defs"][schema_below["$ref"].rpartition("/")[2]] if "$ref" in schema_below else schema_below


def _paths(root: dict[str, Any], schema: dict[str, Any], above: str = "") -> set[str]:
    """Return the dotted keys of a section, of all its kinds, and of the sections below."""
    if kinds := _kinds(schema):
        return {path for kind in kinds for path in _paths(root, _below(root, schema, kind), above)}
    keys = schema.get("properties", {})
    below = {path for key in keys for path in _paths(root, _below(root, schema, key), f"{above}{key}.")}
    return {above + key for key in keys} | below
