"""Secrets do not survive in texts, however they are written and wherever a text was cut before."""

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotspotter_assets.redaction import Redaction, environment_secrets, without_credentials

TOKEN = 'sk-4f/Q9+zT"7&bXw=Lm2~Vé/0kRp<8Nc'
WRITTEN = {
    "plain": TOKEN,
    "address": quote(TOKEN, safe=""),
    "path of an address": quote(TOKEN),
    "form": quote_plus(TOKEN),
    "address in lower case": quote(TOKEN, safe="").replace("%2F", "%2f").replace("%2B", "%2b"),
    "address within an address": quote(quote(TOKEN, safe=""), safe=""),
    "JSON": json.dumps(TOKEN),
    "JSON in UTF-8": json.dumps(TOKEN, ensure_ascii=False),
    "JSON with escaped slashes": json.dumps(TOKEN).replace("/", r"\/"),
    "HTML": html.escape(TOKEN),
    "Python": repr(TOKEN),
    "base64": base64.b64encode(TOKEN.encode()).decode(),
    "base64 after one sign": base64.b64encode(f":{TOKEN}".encode()).decode(),
    "base64 after a user's name": base64.b64encode(f"me@city:{TOKEN}".encode()).decode(),
    "base64 within more": base64.b64encode(f"u:{TOKEN}:u".encode()).decode(),
    "base64 for addresses": base64.urlsafe_b64encode(f"ab{TOKEN}".encode()).decode(),
}


@pytest.mark.parametrize("way", list(WRITTEN))
def test_no_eight_signs_of_a_secret_are_left_however_it_is_written(way: str) -> None:
    written = WRITTEN[way]
    for text in (written, f"before {written} after", written[5:-5], f"x{written[:20]}", f"{written[-20:]}y"):
        cleaned = Redaction([TOKEN]).clean(text)
        assert "***" in cleaned
        # In base64, what stands before and after the secret is none.
        assert not any(written[at : at + 8] in cleaned for at in range(12, len(written) - 12))


@given(cut=st.integers(0, 80), before=st.text("ab :/", max_size=30), rest=st.integers(0, len(TOKEN)))
def test_a_text_is_redacted_before_it_is_cut(cut: int, before: str, rest: int) -> None:
    text = f"{before}{TOKEN[rest:]} {TOKEN}"
    shown = Redaction([TOKEN]).shortened(text, cut)
    assert len(shown) <= cut
    assert not any(TOKEN[at : at + 8] in shown for at in range(len(TOKEN) - 7))


def test_what_is_no_secret_stays() -> None:
    text = "City x: https://a.example/rest/services/1: HTTP 404: Not found; check the address in the city's file."
    assert Redaction([TOKEN]).clean(text) == text
    assert Redaction([]).clean(text) == text
    assert Redaction(["", "abc"]).clean("abc") == "abc"
    assert Redaction(["short"]).clean("a short text") == "a *** text"


def test_the_login_of_an_address_goes_whoever_it_belongs_to() -> None:
    assert Redaction([]).clean("postgresql://me:hunter22@db/x") == "postgresql://***@db/x"
    assert without_credentials("https://u:p@h/?token=abc1 and pwd: hunter22") == "https://***@h/?token=*** and pwd: ***"


def test_variables_that_hold_secrets_are_known_by_their_names() -> None:
    held = {"AWS_SECRET_ACCESS_KEY": "a", "AWS_SESSION_TOKEN": "b", "GATEWAY_TOKEN": "c", "DB_PASSWORD": "d"}
    others = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/run/x", "HOME": "/root", "TOKEN_URL": "https://a.example"}
    assert environment_secrets(held | others) == list("abcd")
