"""Text from outside that is shown where Markdown or HTML is read: names of files, areas and types, texts of errors."""

import html
import re
from typing import Final

_SPECIAL: Final = re.compile(r"[\\`*\[\]|~#]|(?<![^\W_])_|_(?![^\W_])|^[-+=]|(?<=^\d)[.)]")
"""Characters that begin emphasis, code, links, pictures, headings, lists and cells of tables; underscores within words do not."""


def plain(text: str) -> str:
    """Markdown that shows `text` as it is, on one line: no tags, links, pictures, emphasis or further cells."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", html.escape(" ".join(text.split()), quote=False))
