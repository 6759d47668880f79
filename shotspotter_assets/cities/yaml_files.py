"""Reads one YAML file of plain keys and values, and refuses what would surprise: repeated keys, aliases, endless nesting."""

from pathlib import Path
from typing import Any, Final

import yaml

MAX_FILE_BYTES: Final = 200_000
"""A city's file has some thousand."""
MAX_DEPTH: Final = 50
"""Of lists and mappings within each other; a city's file has five. What makes objects of them calls itself at each level."""


class YamlFileError(ValueError):
    """The file cannot be read; the message says where and why, and quotes none of its lines, which may hold a secret."""


def read_yaml(file: Path) -> Any:
    """What the file says.

    Raises:
        YamlFileError: it is no file, too large, not UTF-8 or not YAML, or it has a key twice, an alias or a value that no
            type of YAML can have (such as 30 February).
    """
    if not file.is_file():  # a pipe would be waited for
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
        where, since = _place(error.problem_mark or error.context_mark), _place(error.context_mark)
        context = f"{error.context} from {since} on" if error.context_mark and since != where else error.context
        what = ", ".join(part for part in (context, error.problem) if part)
        raise YamlFileError(f"is not a YAML file of a city: {where}: {what}") from None
    except yaml.YAMLError:
        raise YamlFileError("is not a YAML file: it has characters that no text has") from None


def _place(mark: Any) -> str:
    return "somewhere" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}"


def _refuse_surprises(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            problem = "aliases (* and &) are not allowed here; write the value out, or quote it if it is a text"
            raise YamlFileError(f"is not a YAML file of a city: {_place(event.start_mark)}: {problem}")
        if getattr(event, "tag", None) is not None:
            problem = "tags (!) are not allowed here; quote the value if it is a text"
            raise YamlFileError(f"is not a YAML file of a city: {_place(event.start_mark)}: {problem}")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise YamlFileError("is not a YAML file of a city: it is nested too deeply")


class _PlainLoader(yaml.CSafeLoader):
    """Stock, but for repeated keys and values out of range."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        for key_node, _ in node.value:
            key = (key_node.tag, key_node.value) if isinstance(key_node, yaml.ScalarNode) else id(key_node)
            line = key_node.start_mark.line + 1
            if key in lines:
                problem = f"the key {key_node.value!r} is there twice, in lines {lines[key]} and {line}"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            lines[key] = line
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:
            problem = f"a value of the kind {node.tag.rpartition(':')[2]} that there cannot be: {error}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None
