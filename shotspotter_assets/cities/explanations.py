"""Explanations of errors in a city's file: key, reason and allowed values, without any value of the file."""

from difflib import get_close_matches
from typing import Any, Final

from shotspotter_assets.cities.city import NAME_PATTERN

MIN_SIMILARITY: Final = 0.7  # minimum similarity of a suggested key
MIN_SIMILARITY_IN_SECTION: Final = (
    0.6  # minimum of a key of the same section below the root, which is likelier to be meant
)


def explain(problem: Any, root: dict[str, Any]) -> str:
    """Return key and reason of a problem by the file's JSON schema, without the value, which may be a token."""
    keys: list[str] = []
    schema = section = root
    for part in problem["loc"]:
        if part == "[key]":
            break
        if not _kinds(schema):  # pydantic's path also names the kind of a source or factor
            keys.append(str(part))
        section, schema = schema, _below(root, schema, part)
    error, reason = problem["type"], problem["msg"].removeprefix("Value error, ")
    if error == "missing":
        reason = "is missing"
    elif error.startswith("date"):
        reason = f"write the date as YYYY-MM-DD ({reason})"
    elif error.startswith("union_tag") or error == "model_attributes_type":
        kinds = list(_kinds(schema))
        reason = f"needs an allowed kind, such as {{kind: {kinds[0]}, ...}} (allowed: {', '.join(kinds)})"
    elif error in ("model_type", "dict_type"):
        reason = f"write keys and values, such as {_example(schema)}"
    elif error == "tuple_type":
        reason = "write a list, such as [first, second]"
    elif error == "string_pattern_mismatch" and problem["ctx"]["pattern"] == NAME_PATTERN:
        reason = "use lowercase letters, digits and _, with a letter first"
    elif error == "extra_forbidden":
        least = MIN_SIMILARITY if section is root else MIN_SIMILARITY_IN_SECTION
        near = get_close_matches(keys[-1], section["properties"], 1, least)
        if not near:
            paths = {path: path.rpartition(".")[2] for path in sorted(_paths(root, root)) if path != ".".join(keys)}
            similar = get_close_matches(keys[-1], set(paths.values()), 1, MIN_SIMILARITY)
            near = [path for path, key in paths.items() if key in similar]
        hint = f"did you mean {' or '.join(near)}?" if near else f"allowed: {', '.join(section['properties'])}"
        reason = f"unknown key; {hint}"
    return f"{'.'.join(keys) or 'file'}: {reason}"


def _kinds(schema: dict[str, Any]) -> dict[str, str]:
    return schema.get("discriminator", {}).get("mapping", {})


def _below(root: dict[str, Any], schema: dict[str, Any], key: str | int) -> dict[str, Any]:
    """Return the JSON schema below a key, a place in a list, or a kind; empty without one."""
    if kinds := _kinds(schema):
        found: Any = {"$ref": kinds[key]} if key in kinds else {}
    else:
        patterns = schema.get("patternProperties", {}).values()
        others = (*patterns, schema.get("additionalProperties"), schema.get("items"))
        found = schema.get("properties", {}).get(key) or next((one for one in others if isinstance(one, dict)), {})
        found = found.get("anyOf", [found])[0]
    return root["$defs"][found["$ref"].rpartition("/")[2]] if "$ref" in found else found


def _paths(root: dict[str, Any], schema: dict[str, Any], above: str = "") -> set[str]:
    """Return the dotted keys of a section, of all its kinds, and of the sections below."""
    if kinds := _kinds(schema):
        return {path for kind in kinds for path in _paths(root, _below(root, schema, kind), above)}
    keys = schema.get("properties", {})
    below = (_paths(root, _below(root, schema, key), f"{above}{key}.") for key in keys)
    return {above + key for key in keys}.union(*below)


def _example(schema: dict[str, Any]) -> str:
    """Return the required keys of a section, or all keys if none is required, with their defaults."""
    properties = schema.get("properties", {"name": {}})
    defaults = {key: properties[key].get("default") for key in schema.get("required", properties)}
    return "{" + ", ".join(f"{key}: {default or '...'}" for key, default in defaults.items()) + "}"
