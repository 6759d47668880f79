"""Functions of the package and of its tests are read once, from top to bottom."""

import ast
from functools import cache
from pathlib import Path

import pytest

import shotspotter_assets

MAX_LOCALS = 15
MIN_LINES_WITH_DOCSTRING = 15
PACKAGE = Path(shotspotter_assets.__file__).parent
TESTS = Path(__file__).parent
Function = ast.FunctionDef | ast.AsyncFunctionDef


def names_in(function: Function) -> set[str]:
    """The names that a function stores, without those of functions inside it."""
    names: set[str] = set()
    left = list(ast.iter_child_nodes(function))
    while left:
        node = left.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        if not isinstance(node, Function | ast.Lambda | ast.ClassDef):
            left.extend(ast.iter_child_nodes(node))
    return names


def is_packed(node: ast.AST) -> bool:
    """True for `a, b = x, y`, unless it swaps."""
    match node:
        case ast.Assign(targets=[ast.Tuple(elts=left)], value=ast.Tuple(elts=right)):
            return {ast.unparse(name) for name in left} != {ast.unparse(value) for value in right}
    return False


def has_bag(node: ast.AST) -> bool:
    """True for calls `f(*name)` and `f(**name)`."""
    if not isinstance(node, ast.Call):
        return False
    positions = [one.value for one in node.args if isinstance(one, ast.Starred)]
    keywords = [one.value for one in node.keywords if one.arg is None]
    return any(isinstance(value, ast.Name) for value in (*positions, *keywords))


def is_crowded(node: ast.AST) -> bool:
    return isinstance(node, Function) and len(names_in(node)) > MAX_LOCALS


def lacks_docstring(node: ast.AST) -> bool:
    if not isinstance(node, Function):
        return False
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    return lines >= MIN_LINES_WITH_DOCSTRING and ast.get_docstring(node) is None


FAULTS = (is_packed, has_bag, is_crowded, lacks_docstring)


@cache
def places(folder: Path) -> dict[str, list[str]]:
    """Return where the modules of a folder have each of the faults; trees of all modules at once take 100 MB."""
    found: dict[str, list[str]] = {fault.__name__: [] for fault in FAULTS}
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            for fault in FAULTS:
                if fault(node):
                    found[fault.__name__].append(f"{file.relative_to(folder)}:{getattr(node, 'lineno', 0)}")
    return found


@pytest.mark.parametrize("fault", FAULTS)
def test_functions_are_read_once(fault) -> None:
    assert places(PACKAGE)[fault.__name__] == []


@pytest.mark.parametrize("fault", [is_packed])
def test_functions_of_tests_are_read_once(fault) -> None:
    assert places(TESTS)[fault.__name__] == []
