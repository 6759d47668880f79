"""Checks of style that no linter has: `python -m docs.style`, a part of `make lint`, prints each place and fails if there is any.

Functions are read once, from top to bottom: no `a, b = x, y`, no calls with a bag (`f(**name)`), and a docstring for long ones.
Pages have short lines and few words.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).parents[1]
MIN_LINES_WITH_DOCSTRING: Final = 15
MAX_LINE_CHARACTERS: Final = 120
MAX_PAGE_WORDS: Final = 1_500
GENERATED_TABLES: Final = ("data.md", "feedback.md", "results.md", "tuning.md")  # pages whose tables do not count
Function = ast.FunctionDef | ast.AsyncFunctionDef


def is_packed(node: ast.AST) -> bool:
    """Return True for `a, b = x, y`, unless it swaps."""
    match node:
        case ast.Assign(targets=[ast.Tuple(elts=left)], value=ast.Tuple(elts=right)):
            return {ast.unparse(name) for name in left} != {ast.unparse(value) for value in right}
    return False


def has_bag(node: ast.AST) -> bool:
    """Return True for calls `f(*name)` and `f(**name)`."""
    if not isinstance(node, ast.Call):
        return False
    positions = [argument.value for argument in node.args if isinstance(argument, ast.Starred)]
    keywords = [keyword.value for keyword in node.keywords if keyword.arg is None]
    return any(isinstance(value, ast.Name) for value in (*positions, *keywords))


def lacks_docstring(node: ast.AST) -> bool:
    """Return True for a long function without a docstring."""
    if not isinstance(node, Function):
        return False
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    return lines >= MIN_LINES_WITH_DOCSTRING and ast.get_docstring(node) is None


FAULTS: Final[Mapping[str, Mapping[str, Callable[[ast.AST], bool]]]] = {
    "shotspotter_assets": {
        "one name a line": is_packed,
        "name the arguments": has_bag,
        "write a docstring": lacks_docstring,
    },
    "shotspotter_assets_tests": {"one name a line": is_packed},
}
"""Faults of code by folder and remedy."""


def faults_of_code(folder: Path, faults: Mapping[str, Callable[[ast.AST], bool]]) -> Iterator[str]:
    """Yield the places in the modules of a folder with one of the faults, each with its remedy."""
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            for remedy, has_fault in faults.items():
                if has_fault(node):
                    yield f"{file}:{getattr(node, 'lineno', 0)}: {remedy}"


def faults_of_pages() -> Iterator[str]:
    """Yield long lines of prose, and pages with too many words."""
    pages = [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md"), *(CHECKOUT / "deploy").glob("*/README.md")]
    for page in sorted(pages):
        name = page.relative_to(CHECKOUT).as_posix()
        if "_build" in page.parts or name == "THIRD_PARTY_NOTICES.md":
            continue
        text = page.read_text()
        # Blocks of code become empty lines, so that the numbers of lines stay.
        prose = re.sub(
            r"^([ ]*)```.*?^\1```", lambda block: "\n" * block[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE
        )
        for number, line in enumerate(prose.splitlines(), 1):
            is_prose = not line.startswith(("|", "#", "    ")) and " " in line
            if is_prose and len(line) > MAX_LINE_CHARACTERS:
                yield f"{name}:{number}: wrap the line at {MAX_LINE_CHARACTERS} columns"
        lines = [line for line in text.splitlines() if page.name not in GENERATED_TABLES or not line.startswith("|")]
        words = sum(len(line.split()) for line in lines)
        if words > MAX_PAGE_WORDS and name != "CHANGELOG.md":
            yield f"{name}: {words:,} words; at most {MAX_PAGE_WORDS:,}"


if __name__ == "__main__":
    found = [place for folder, faults in FAULTS.items() for place in faults_of_code(CHECKOUT / folder, faults)]
    sys.exit("\n".join([*found, *faults_of_pages()]) or None)
