"""Notices against a real webhook and a real SMTP server."""

import json
import logging
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from shotspotter_assets.notifications.messages import corrupt_file, failed_check, late_city, run_failure
from shotspotter_assets.notifications.send import Notifier
from shotspotter_assets.notifications.settings import NotificationSettings
from shotspotter_assets_tests.notifications.servers import PATH, Mailbox, Webhook, smtp_server, webhook_server

# The test server says that it takes passwords without TLS, which is the point of some tests.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")

NOW = datetime(2024, 5, 2, 12, tzinfo=UTC)
RUN = "http://dagster.city.gov/runs/1234"
LATE = late_city("washington_dc", "The last day that arrived is 2024-05-01.")
FAILED = failed_check("dc", "rolling_gate", "2024-05-01", "Log loss is 2% worse.", RUN)
SENDER = {"SHOTSPOTTER_MAIL_FROM": "risk@city.gov", "SHOTSPOTTER_MAIL_TO": "a@city.gov, b@city.gov"}


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with webhook_server() as webhook:
        yield webhook


def notifier_for(webhook: Webhook | None = None, smtp_url: str = "", **options: float) -> Notifier:
    environ = {"SHOTSPOTTER_WEBHOOK_URL": webhook.url if webhook else "", "SHOTSPOTTER_SMTP_URL": smtp_url, **SENDER}
    return Notifier(
        NotificationSettings.from_environment(environ), **{"first_wait_s": 0.01, "timeout_s": 2.0, **options}
    )


def smtp_url(mailbox: Mailbox, password: str | None = None) -> str:
    login = "" if password is None else f"{quote(mailbox.user, safe='')}:{quote(password, safe='')}@"
    return f"smtp://{login}{mailbox.host}:{mailbox.port}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1 and 127.0.0.2 with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the command openssl to make a certificate")
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


class TestWebhook:
    def test_posts_json_with_the_link_to_the_run(self, webhook):
        outcome = notifier_for(webhook).send([LATE, FAILED], {}, NOW)
        assert outcome.failures == {}
        assert outcome.sent == {"webhook": ["late city|washington_dc", "failed gate|rolling_gate|dc|2024-05-01"]}
        (post,) = webhook.posts
        assert (post["path"], post["type"]) == (PATH, "application/json")
        assert post["json"]["text"] == (
            "Late city: washington_dc\nThe last day that arrived is 2024-05-01. Look at the city's source.\n\n"
            f"Failed gate: dc, 2024-05-01\nrolling_gate: Log loss is 2% worse.\nRun: {RUN}"
        )

    def test_tries_again_after_a_server_error(self, webhook):
        webhook.answers = [500, 429]
        outcome = notifier_for(webhook).send([LATE], {}, NOW)
        assert len(webhook.posts) == 3
        assert outcome.failures == {}
        assert outcome.sent

    def test_gives_up_after_the_attempts_and_is_due_again(self, webhook):
        webhook.answers = [500] * 3
        notifier = notifier_for(webhook)
        failed = notifier.send([LATE], {}, NOW)
        assert failed.failures["webhook"].startswith("answered 500")
        assert failed.sent == {}
        assert notifier.send([LATE], failed.state, NOW).sent == {"webhook": [LATE.key]}

    @pytest.mark.parametrize("status", [302, 404])
    def test_does_not_repeat_a_permanent_refusal(self, webhook, status):
        webhook.answers = [status]
        outcome = notifier_for(webhook).send([LATE], {}, NOW)
        assert len(webhook.posts) == 1
        assert outcome.failures["webhook"].startswith(f"answered {status}")

    def test_a_server_that_does_not_answer_costs_the_time_outs_and_no_more(self, webhook):
        webhook.delay_s = 3.0
        started = time.monotonic()
        outcome = notifier_for(webhook, timeout_s=0.1, attempts=2).send([LATE], {}, NOW)
        assert time.monotonic() - started < 2.5
        assert outcome.failures == {"webhook": "ReadTimeout"}
        assert len(webhook.posts) == 2

    def test_no_server_at_all(self):
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            closed = Webhook(url=f"http://127.0.0.1:{held.getsockname()[1]}{PATH}")
            assert notifier_for(closed).send([LATE], {}, NOW).failures == {"webhook": "ConnectionError"}


class TestDuplicates:
    def test_the_same_problem_is_sent_once_in_a_period(self, webhook):
        notifier = notifier_for(webhook)
        state = notifier.send([LATE, LATE], {}, NOW).state
        state = json.loads(json.dumps(state))
        again = notifier.send([LATE], state, NOW + timedelta(hours=23))
        assert (len(webhook.posts), again.sent) == (1, {})
        assert webhook.posts[0]["json"]["text"].count("Late city") == 1
        later = notifier.send([LATE], again.state, NOW + timedelta(hours=24))
        assert (len(webhook.posts), later.sent) == (2, {"webhook": [LATE.key]})

    def test_only_the_failed_channel_is_due_again(self, webhook):
        with smtp_server() as mailbox:
            mailbox.answers = ["554 no"]
            notifier = notifier_for(webhook, smtp_url(mailbox))
            first = notifier.send([LATE], {}, NOW)
            assert first.failures == {"e-mail": "the server answered 554"}
            second = notifier.send([LATE], first.state, NOW)
            assert second.sent == {"e-mail": [LATE.key]}
            assert (len(webhook.posts), len(mailbox.mails)) == (1, 1)

    def test_the_state_forgets_what_is_over(self, webhook):
        state = {"webhook": {"old": (NOW - timedelta(days=2)).isoformat()}}
        assert list(notifier_for(webhook).send([LATE], state, NOW).state["webhook"]) == [LATE.key]

    def test_many_problems_go_out_in_one_post(self, webhook):
        messages = [late_city(f"city_{number}", "No day has arrived.") for number in range(200)]
        outcome = notifier_for(webhook).send(messages, {}, NOW)
        assert len(outcome.sent["webhook"]) == 200
        (post,) = webhook.posts
        assert post["json"]["text"].endswith("Look at the city's source.\n\nAnd 180 more.")


class TestMail:
    def test_sends_to_all_receivers(self):
        with smtp_server() as mailbox:
            outcome = notifier_for(smtp_url=smtp_url(mailbox)).send([LATE, FAILED], {}, NOW)
        assert outcome.failures == {}
        (mail,) = mailbox.mails
        assert mail["Subject"] == "Late city: washington_dc (and 1 more)"
        assert (mail["From"], mail["To"]) == ("risk@city.gov", "a@city.gov, b@city.gov")
        assert mail["Message-ID"].endswith("@city.gov>")
        assert f"Run: {RUN}" in mail.get_content()

    def test_tries_again_after_a_temporary_refusal(self):
        with smtp_server() as mailbox:
            mailbox.answers = ["451 busy"]
            assert notifier_for(smtp_url=smtp_url(mailbox)).send([LATE], {}, NOW).failures == {}
            assert len(mailbox.mails) == 1

    def test_a_receiver_who_is_refused_is_named_and_the_others_get_it_once(self):
        with smtp_server() as mailbox:
            mailbox.refused = {"b@city.gov"}
            outcome = notifier_for(smtp_url=smtp_url(mailbox)).send([LATE], {}, NOW)
            assert outcome.failures == {"e-mail": "refused for b@city.gov; sent to the others"}
            assert outcome.sent == {"e-mail": [LATE.key]}
            assert len(mailbox.mails) == 1

    def test_logs_in(self):
        with smtp_server(login=True) as mailbox:
            outcome = notifier_for(smtp_url=smtp_url(mailbox, mailbox.password)).send([LATE], {}, NOW)
            assert (outcome.failures, len(mailbox.mails)) == ({}, 1)

    def test_a_wrong_login_is_reported_without_the_password_and_not_repeated(self):
        with smtp_server(login=True) as mailbox:
            outcome = notifier_for(smtp_url=smtp_url(mailbox, "not the password")).send([LATE], {}, NOW)
            assert outcome.failures["e-mail"].startswith("the server answered 535")
            assert "not the password" not in repr(outcome)
            # smtplib tries the server's mechanisms one after the other, within one attempt.
            assert mailbox.logins <= 2
            assert mailbox.mails == []

    def test_starttls_with_a_login_on_another_host(self, certificate, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with smtp_server(host="127.0.0.2", starttls=tls(certificate), login=True) as mailbox:
            outcome = notifier_for(smtp_url=smtp_url(mailbox, mailbox.password)).send([LATE], {}, NOW)
            assert (outcome.failures, mailbox.encrypted) == ({}, [True])

    def test_no_password_for_a_server_that_does_not_prove_itself(self, certificate):
        with smtp_server(host="127.0.0.2", starttls=tls(certificate), login=True) as mailbox:
            outcome = notifier_for(smtp_url=smtp_url(mailbox, mailbox.password)).send([LATE], {}, NOW)
            assert outcome.failures == {"e-mail": "SSLCertVerificationError"}
            assert mailbox.logins == 0

    def test_no_password_without_tls(self):
        with smtp_server(host="127.0.0.2", login=True) as mailbox:
            outcome = notifier_for(smtp_url=smtp_url(mailbox, mailbox.password)).send([LATE], {}, NOW)
            assert "offers no STARTTLS" in outcome.failures["e-mail"]
            assert mailbox.logins == 0

    def test_encrypts_without_a_login_where_the_server_can(self, certificate):
        with smtp_server(starttls=tls(certificate)) as mailbox:
            assert notifier_for(smtp_url=smtp_url(mailbox)).send([LATE], {}, NOW).failures == {}
            assert mailbox.encrypted == [True]

    def test_a_server_that_does_not_greet(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            url = f"smtp://127.0.0.1:{silent.getsockname()[1]}"
            outcome = notifier_for(smtp_url=url, timeout_s=0.1).send([LATE], {}, NOW)
            assert outcome.failures == {"e-mail": "SMTPServerDisconnected"}


class TestSecrets:
    def test_nothing_shows_them(self, webhook, caplog, monkeypatch):
        caplog.set_level(logging.DEBUG)
        webhook.answers = [403]
        with smtp_server(login=True) as mailbox:
            url = smtp_url(mailbox, mailbox.password)
            notifier = notifier_for(webhook, url)
            error = f"post to {webhook.url} failed, {mailbox.password}, postgresql://me:hunter22@db/x, token=abc123"
            outcome = notifier.send([run_failure("daily", "dc", "grid", error)], {}, NOW)
            sent = mailbox.mails[0].get_content()
        assert outcome.failures == {"webhook": "answered 403"}
        shown = "\n".join([repr(notifier), repr(outcome), caplog.text, sent, webhook.posts[0]["json"]["text"]])
        for secret in ("secret-webhook-path", mailbox.password, quote(mailbox.password, safe=""), "hunter22", "abc123"):
            assert secret not in shown
        assert "post to *** failed" in sent
        assert logging.getLogger("urllib3.connectionpool").filters == []

    def test_parts_of_addresses_that_everybody_has_are_shown(self, webhook):
        error = "City x: https://maps.example/rest/services/Alerts/MapServer/29: HTTP 500"
        notifier_for(webhook).send([run_failure("daily", None, None, error)], {}, NOW)
        assert error in webhook.posts[0]["json"]["text"]

    def test_not_even_where_the_connection_fails(self, caplog):
        caplog.set_level(logging.DEBUG)
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            closed = Webhook(url=f"http://127.0.0.1:{held.getsockname()[1]}{PATH}")
            outcome = notifier_for(closed).send([LATE], {}, NOW)
        assert "secret-webhook-path" not in repr(outcome) + caplog.text


class TestMessages:
    def test_texts_of_files_cannot_mention_everyone_or_add_headers(self, webhook):
        with smtp_server() as mailbox:
            message = corrupt_file("dc", "a<!channel>\r\nBcc: x@y.z\udcff.csv", "[Log in](http://x) @here")
            outcome = notifier_for(webhook, smtp_url(mailbox)).send([message], {}, NOW)
        assert outcome.failures == {}
        text = webhook.posts[0]["json"]["text"]
        assert "<" not in text
        assert "&lt;!channel&gt;" in text
        assert "@here" not in text
        assert "](" not in text
        assert mailbox.mails[0]["Bcc"] is None
        assert mailbox.mails[0]["Subject"] == "Corrupt file: dc, a<!channel> Bcc: x@y.z?.csv"

    def test_a_long_error_is_shortened(self, webhook):
        notifier_for(webhook).send([run_failure("daily", None, None, "x" * 100_000)], {}, NOW)
        assert len(webhook.posts[0]["json"]["text"]) < 1_200


class TestSettings:
    def test_nothing_set_sends_nothing(self):
        outcome = Notifier(NotificationSettings.from_environment({})).send([LATE], {}, NOW)
        assert (outcome.sent, outcome.failures) == ({}, {})

    def test_login_with_special_characters(self):
        settings = NotificationSettings.from_environment(
            {"SHOTSPOTTER_SMTP_URL": "smtps://a%40b:p%2Fq@mail.city.gov", **SENDER}
        )
        server = settings.mail_server
        assert server is not None
        assert (server.user, server.password, server.port, server.implicit_tls) == ("a@b", "p/q", 465, True)
        assert "p/q" not in repr(server) + repr(settings)
        assert settings.mail_to == ("a@city.gov", "b@city.gov")

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
    def test_a_wrong_variable_is_named_without_its_secret(self, environ, named):
        with pytest.raises(ValueError, match=named) as error:
            NotificationSettings.from_environment(environ)
        assert "s3cret" not in str(error.value)
