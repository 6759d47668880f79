import re
from dataclasses import replace
from html import unescape

import pytest
from markdown_it import MarkdownIt

from shotspotter_assets.defs import panel
from shotspotter_assets.evaluation.walk_forward_report import model_card
from shotspotter_assets.storage.wording import plain
from shotspotter_assets_tests.evaluation.test_walk_forward_report import CITY, REPORT, SCORES

HOSTILE = [
    "<img src=x onerror=alert(1)>.csv",
    "</td></table><script>alert(1)</script>",
    "[Log in](javascript:alert(1))",
    "![x](http://example.org/seen.png)",
    "**Run succeeded** | `rm -rf` ~~no~~",
    "residual_boosting of _all_ & __none__ at 5 % \\ 3 > 2",
    "two\nlines\n# Heading\n| a | b |",
    "&lt;b&gt; as it is written",
    "- no list",
    "1. nor this",
]


def rendered(markdown: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown)


def text_of(html: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", html)).strip()


@pytest.mark.parametrize("text", HOSTILE)
def test_plain_text_is_shown_as_it_is(text: str) -> None:
    html = rendered(plain(text))
    assert set(re.findall(r"</?\w+", html)) <= {"<p", "</p"}
    assert text_of(html) == " ".join(text.split())


def test_words_with_underscores_stay_as_they_are() -> None:
    assert plain("residual_boosting serves washington_dc.") == "residual_boosting serves washington_dc."


@pytest.mark.parametrize("text", HOSTILE)
def test_lists_in_the_panel_show_it_as_it_is(text: str) -> None:
    made = panel.bullets([text, "A sentence."])
    html = rendered(made.md_str or "")
    assert set(re.findall(r"</?\w+", html)) <= {"<ul", "</ul", "<li", "</li"}
    assert " ".join(text.split()) in text_of(html)


@pytest.mark.parametrize("text", HOSTILE)
def test_reasons_in_the_model_card_show_as_they_are(text: str) -> None:
    verdict = replace(REPORT.verdict, reasons=(text,))
    html = rendered(model_card(REPORT.model_copy(update={"verdict": verdict}), SCORES, CITY))
    assert not re.findall(r"<(?:img|script|a|del|code)\b", html)
    assert text_of(html).count(" ".join(text.split())) == 1
