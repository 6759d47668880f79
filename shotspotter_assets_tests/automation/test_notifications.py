import json
import logging
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from shotspotter_assets.automation.notifications import Message, Notifier
from shotspotter_assets_tests.automation.servers import PATH, Mailbox, Webhook, smtp_server, webhook_server

# The test server says that it takes passwords without TLS, which is the point of some tests.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
NOW = datetime(2024, 5, 2, 12, tzinfo=UTC)
RUN = "http://dagster.city.gov/runs/1234"
LATE = Message("late city", "washington_dc", "The last day that arrived is 2024-05-01.")
FAILED = Message("failed gate", "dc, 2024-05-01, rolling_gate", "Log loss is 2% worse.", RUN)
SENDER = {"SHOTSPOTTER_MAIL_FROM": "risk@city.gov", "SHOTSPOTTER_MAIL_TO": "a@city.gov, b@city.gov"}


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with webhook_server() as webhook:
        yield webhook


def notifier_for(webhook: Webhook | None = None, smtp_url: str = "", timeout_s: float = 60.0) -> Notifier:
    environ = {"SHOTSPOTTER_WEBHOOK_URL": webhook.url if webhook else "", "SHOTSPOTTER_SMTP_URL": smtp_url, **SENDER}
    return replace(Notifier.from_environment(environ), timeout_s=timeout_s)


def smtp_url(mailbox: Mailbox, password: str | None = None) -> str:
    login = "" if password is None else f"{quote(mailbox.user, safe='')}:{quote(password, safe='')}@"
    return f"smtp://{login}{mailbox.host}:{mailbox.port}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("needs the command openssl (Debian: apt-get install openssl)")
    pem = tmp_path_factory.mktemp("tls") / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test",
         "-addext", "subjectAltName=IP:127.0.0.1,IP:127.0.0.2", "-keyout", pem.with_suffix(".key"), "-out", pem],
        check=True, capture_output=True,
    )  # fmt: skip
    return pem


def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context


def test_a_post_is_json_with_the_link_to_the_run(webhook: Webhook) -> None:
    outcome = notifier_for(webhook).send([LATE, FAILED], {}, NOW)
    assert outcome.failures == {}
    assert outcome.sent == {"webhook": ["late city|washington_dc", "failed gate|dc, 2024-05-01, rolling_gate"]}
    (post,) = webhook.posts
    assert (post["path"], post["type"]) == (PATH, "application/json")
    assert post["json"]["text"] == (
        "Late city: washington_dc\nThe last day that arrived is 2024-05-01.\n\n"
        f"Failed gate: dc, 2024-05-01, rolling_gate\nLog loss is 2% worse.\nRun: {RUN}"
    )


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_refused_post_is_due_again(webhook: Webhook, status: int) -> None:
    webhook.answers = [status]
    failed = notifier_for(webhook).send([LATE], {}, NOW)
    assert (failed.failures, failed.sent) == ({"webhook": f"answered {status}"}, {})
    assert notifier_for(webhook).send([LATE], failed.state, NOW).sent == {"webhook": [LATE.key]}
    assert len(webhook.posts) == 2


def test_servers_that_do_not_answer_fail_within_the_time_out(webhook: Webhook) -> None:
    webhook.is_silent = True
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"smtp://127.0.0.1:{silent.getsockname()[1]}"
        outcome = notifier_for(webhook, url, timeout_s=0.1).send([LATE], {}, NOW)
    assert outcome.failures == {"webhook": "ReadTimeout", "e-mail": "SMTPServerDisconnected"}


def test_a_problem_is_sent_once_in_a_day(webhook: Webhook) -> None:
    notifier = notifier_for(webhook)
    state = json.loads(json.dumps(notifier.send([LATE, LATE], {}, NOW).state))
    assert webhook.posts[0]["json"]["text"].count("Late city") == 1
    again = notifier.send([LATE], state, NOW + timedelta(hours=23))
    assert (len(webhook.posts), again.sent) == (1, {})
    later = notifier.send([FAILED], again.state, NOW + timedelta(hours=24))
    assert (len(webhook.posts), list(later.state["webhook"])) == (2, [FAILED.key])


def test_only_the_failed_channel_is_due_again(webhook: Webhook) -> None:
    with smtp_server() as mailbox:
        mailbox.answers = ["554 no"]
        notifier = notifier_for(webhook, smtp_url(mailbox))
        first = notifier.send([LATE], {}, NOW)
        assert first.failures == {"e-mail": "SMTPSenderRefused 554"}
        second = notifier.send([LATE], first.state, NOW)
        assert second.sent == {"e-mail": [LATE.key]}
        assert (len(webhook.posts), len(mailbox.mails)) == (1, 1)


def test_many_and_long_problems_go_out_in_short_posts(webhook: Webhook) -> None:
    messages = [Message("late city", f"city_{number}", "x" * 5_000) for number in range(200)]
    outcome = notifier_for(webhook).send(messages, {}, NOW)
    assert outcome.sent["webhook"] == [message.key for message in messages[:20]]
    assert not outcome.is_complete
    (post,) = webhook.posts
    assert post["json"]["text"].endswith("... (shortened)")
    assert len(post["json"]["text"]) < 25_000
    following = notifier_for(webhook).send(messages, outcome.state, NOW)
    assert following.sent["webhook"] == [message.key for message in messages[20:40]]


def test_mail_goes_to_all_receivers() -> None:
    with smtp_server() as mailbox:
        outcome = notifier_for(smtp_url=smtp_url(mailbox)).send([LATE, FAILED], {}, NOW)
    assert outcome.failures == {}
    (mail,) = mailbox.mails
    assert mail["Subject"] == "Late city: washington_dc (and 1 more)"
    assert (mail["From"], mail["To"]) == ("risk@city.gov", "a@city.gov, b@city.gov")
    assert mail["Message-ID"].endswith("@city.gov>")
    assert f"Run: {RUN}" in mail.get_content()


def test_mail_with_a_wrong_login_fails_without_showing_the_password() -> None:
    with smtp_server(login=True) as mailbox:
        wrong = notifier_for(smtp_url=smtp_url(mailbox, "not the password")).send([LATE], {}, NOW)
        assert wrong.failures == {"e-mail": "SMTPAuthenticationError 535"}
        assert mailbox.mails == []
        right = notifier_for(smtp_url=smtp_url(mailbox, mailbox.password)).send([LATE], {}, NOW)
        assert (right.failures, len(mailbox.mails)) == ({}, 1)


def test_a_password_is_sent_over_tls_to_a_proven_server(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with smtp_server("127.0.0.2", tls(certificate), login=True) as mailbox:
        notifier = notifier_for(smtp_url=smtp_url(mailbox, mailbox.password))
        assert notifier.send([LATE], {}, NOW).failures == {"e-mail": "SSLCertVerificationError"}
        assert mailbox.logins == 0
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert notifier.send([LATE], {}, NOW).failures == {}
        assert mailbox.encrypted == [True]
    with smtp_server("127.0.0.2", login=True) as mailbox:
        outcome = notifier_for(smtp_url=smtp_url(mailbox, mailbox.password)).send([LATE], {}, NOW)
        assert "offers no STARTTLS" in outcome.failures["e-mail"]
        assert mailbox.logins == 0


def test_mail_without_a_login_is_encrypted_where_the_server_can(certificate: Path) -> None:
    with smtp_server(tls=tls(certificate)) as mailbox:
        assert notifier_for(smtp_url=smtp_url(mailbox)).send([LATE], {}, NOW).failures == {}
        assert mailbox.encrypted == [True]


def test_nothing_shows_a_secret(webhook: Webhook, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    webhook.answers = [403]
    address = "https://maps.example/rest/services/Alerts/MapServer/29"
    with smtp_server(login=True) as mailbox:
        notifier = notifier_for(webhook, smtp_url(mailbox, mailbox.password))
        error = f"{webhook.url} failed, {mailbox.password}, postgresql://me:hunter22@db/x, token=abc123, {address}"
        outcome = notifier.send([Message("run failure", "dc", error)], {}, NOW)
        sent = mailbox.mails[0].get_content()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        closed = Webhook(url=f"http://127.0.0.1:{held.getsockname()[1]}{PATH}")
        unreachable = notifier_for(closed).send([LATE], {}, NOW)
    assert (outcome.failures, unreachable.failures) == ({"webhook": "answered 403"}, {"webhook": "ConnectionError"})
    shown = "\n".join([repr(notifier), repr(outcome), caplog.text, sent, webhook.posts[0]["json"]["text"]])
    for secret in ("secret-webhook-path", mailbox.password, quote(mailbox.password, safe=""), "hunter22", "abc123"):
        assert secret not in shown
    assert "*** failed" in sent
    assert address in sent.replace("\n", "")


def test_texts_of_files_cannot_mention_everyone_or_add_headers(webhook: Webhook) -> None:
    with smtp_server() as mailbox:
        message = Message("corrupt file", "dc, a<!channel>\r\nBcc: x@y.z\udcff.csv", "[Log in](http://x) @here")
        outcome = notifier_for(webhook, smtp_url(mailbox)).send([message], {}, NOW)
    assert outcome.failures == {}
    text = webhook.posts[0]["json"]["text"]
    assert "&lt;!channel&gt;" in text
    assert not any(part in text for part in ("<", "@here", "]("))
    assert mailbox.mails[0]["Bcc"] is None
    assert mailbox.mails[0]["Subject"] == "Corrupt file: dc, a<!channel> Bcc: x@y.z?.csv"


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"SHOTSPOTTER_WEBHOOK_URL": "hooks.slack.com/s3cret"}, "SHOTSPOTTER_WEBHOOK_URL"),
        ({"SHOTSPOTTER_SMTP_URL": "mail:s3cret@host", **SENDER}, "SHOTSPOTTER_SMTP_URL"),
        ({"SHOTSPOTTER_SMTP_URL": "smtp://u:s3cret@host:port", **SENDER}, "SHOTSPOTTER_SMTP_URL"),
        ({"SHOTSPOTTER_SMTP_URL": "smtp://u:s3cret@host"}, "SHOTSPOTTER_MAIL_FROM"),
        ({"SHOTSPOTTER_SMTP_URL": "smtp://u:s3cret@h", "SHOTSPOTTER_MAIL_FROM": "a@b"}, "SHOTSPOTTER_MAIL_TO"),
    ],
)
def test_a_wrong_variable_is_named_without_its_secret(environ: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named) as error:
        Notifier.from_environment(environ)
    assert "s3cret" not in str(error.value)
