"""Text from outside in Markdown or HTML: names of files, areas and types, texts of errors."""

import html
import re
from typing import Final

_SPECIAL: Final = re.compile(r"[\\`*\[\]|~#]|(?<![^\W_])_|_(?![^\W_])|^[-+=]|(?<=^\d)[.)]")
"""Characters with a meaning in Markdown; underscores within words have none."""


def plain(text: str) -> str:
    """Return Markdown that shows `text` as it is, on one line: no tags, links, pictures, emphasis or further cells."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", html.escape(" ".join(text.split()), quote=False))
