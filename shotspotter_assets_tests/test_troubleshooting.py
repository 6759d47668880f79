"""Each message that the page quotes is a message of the code."""

import ast
import re

import pytest

from shotspotter_assets.settings import CHECKOUT

PAGE = (CHECKOUT / "docs" / "troubleshooting.md").read_text()
QUOTED = re.findall(r"^\| `(.+?)` \|", PAGE, re.MULTILINE)
VARIABLE = "…"
MIN_MESSAGES = 40


def text_of(node: ast.AST) -> str:
    """Return the text of a string in the code, with a gap for each value put into it."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(text_of(part) for part in parts)
    return VARIABLE


@pytest.fixture(scope="module")
def messages() -> str:
    """All strings of the package, a line each, its scripts and the Makefile."""
    lines = [(CHECKOUT / "Makefile").read_text().replace("%d.%d", VARIABLE)]
    for module in sorted((CHECKOUT / "shotspotter_assets").rglob("*.py")):
        nodes = ast.walk(ast.parse(module.read_text()))
        lines += [text_of(node).replace("\n", " ") for node in nodes if isinstance(node, ast.Constant | ast.JoinedStr)]
    lines += [script.read_text() for script in sorted((CHECKOUT / "shotspotter_assets/pages/static").glob("*.js"))]
    return "\n".join(lines)


def test_the_page_quotes_many_messages() -> None:
    assert len(QUOTED) >= MIN_MESSAGES
    assert len(QUOTED) == len(set(QUOTED))


@pytest.mark.parametrize("quoted", QUOTED)
def test_each_quoted_message_is_one_of_the_code(quoted: str, messages: str) -> None:
    pattern = ".*".join(re.escape(part) for part in quoted.split(VARIABLE))
    assert re.search(pattern, messages) is not None
