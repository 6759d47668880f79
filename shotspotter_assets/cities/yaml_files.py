"""Reads one YAML file of plain keys and values; refuses repeated keys, aliases, tags and deep nesting."""

from pathlib import Path
from typing import Any, Final

import yaml

MAX_FILE_BYTES: Final = 200_000
"""A city's file has a few thousand."""
MAX_DEPTH: Final = 50
"""Lists and mappings within each other; a city's file has five."""


class YamlFileError(ValueError):
    """The file cannot be read; the message says where and why, and quotes none of its lines, which may hold a secret."""


def read_yaml(file: Path) -> Any:
    """The content of the file.

    Raises:
        YamlFileError: it is no file, too large, not UTF-8 or not YAML, or it has a key twice, an alias, a tag or a value
            that cannot exist (such as 30 February).
    """
    if not file.is_file():  # a pipe would block
        raise YamlFileError("is no file")
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise YamlFileError(f"has more than {MAX_FILE_BYTES:,} bytes, which no city's file needs")
        text = file.read_text(encoding="utf-8")
        _refuse_surprises(text)
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a safe loader
    except OSError as error:
        raise YamlFileError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise YamlFileError(f"is not a YAML file: byte {error.start + 1} is not UTF-8") from None
    except yaml.MarkedYAMLError as error:
        begin, end = error.context_mark, error.problem_mark or error.context_mark
        context = f"{error.context} from line {begin.line + 1} on: " if begin and error.context else ""
        raise YamlFileError(f"is not a YAML file of a city: {_place(end)}: {context}{error.problem}") from None
    except yaml.YAMLError:
        raise YamlFileError("is not a YAML file: it has characters that no text has") from None


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"


def _refuse_surprises(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        problem = None
        if depth > MAX_DEPTH:
            problem = "is nested too deeply"
        elif isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            problem = "aliases (* and &) are not allowed here; write the value out, or quote it if it is a text"
        elif getattr(event, "tag", None):
            problem = "tags (!) are not allowed here; quote the value if it is a text"
        if problem:
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)  # type: ignore[arg-type]


class _PlainLoader(yaml.CSafeLoader):
    """A safe loader that refuses repeated keys and values out of range."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in lines:
                problem = f"the key {key.value!r} is there twice, in lines {lines[key.value]} and {line}"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            lines[key.value] = line
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:
            problem = f"there is no such {node.tag.rpartition(':')[2]}: {error}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None
