import json
import logging
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from shotspotter_assets.automation.notifications import NO_WIDTH, Message, Notifier
from shotspotter_assets_tests.automation.servers import PATH, Mailbox, Webhook, smtp_server, webhook_server

# The test server says that it takes passwords without TLS, which is the point of some tests.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
NOW = datetime(2024, 5, 2, 12, tzinfo=UTC)
RUN = "http://dagster.city.gov/runs/1234"
LATE = Message("late city", "washington_dc", "The last day that arrived is 2024-05-01.")
FAILED = Message("failed gate", "dc, 2024-05-01, rolling_gate", "Log loss is 2% worse.", RUN)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with webhook_server() as webhook:
        yield webhook


def notifier_for(*urls: str) -> Notifier:
    return Notifier.from_environment({"SHOTSPOTTER_NOTIFY_URLS": " ".join(urls)})


def mail_url(mailbox: Mailbox, password: str | None = None) -> str:
    login = "" if password is None else f"{quote(mailbox.user, safe='')}:{quote(password, safe='')}@"
    return f"mailto://{login}{mailbox.host}:{mailbox.port}?from=risk@city.gov&to=a@city.gov,b@city.gov"


def test_a_post_is_json_with_the_link_to_the_run(webhook: Webhook) -> None:
    outcome = notifier_for(webhook.url).send([LATE, FAILED], {}, NOW)
    assert outcome.failures == {}
    assert outcome.sent == {"JSON 1": ["late city|washington_dc", "failed gate|dc, 2024-05-01, rolling_gate"]}
    (post,) = webhook.posts
    assert (post["path"], post["type"]) == (PATH, "application/json")
    assert post["json"]["message"] == (
        "Late city: washington_dc\nThe last day that arrived is 2024-05-01.\n\n"
        f"Failed gate: dc, 2024-05-01, rolling_gate\nLog loss is 2% worse.\nRun: {RUN}"
    )


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_refused_post_is_due_again(webhook: Webhook, status: int) -> None:
    webhook.answers = [status]
    failed = notifier_for(webhook.url).send([LATE], {}, NOW)
    assert failed.sent == {}
    assert f"error={status}" in failed.failures["JSON 1"]
    assert notifier_for(webhook.url).send([LATE], failed.state, NOW).sent == {"JSON 1": [LATE.key]}
    assert len(webhook.posts) == 2


def test_servers_that_do_not_answer_fail_within_the_time_out(webhook: Webhook) -> None:
    webhook.is_silent = True
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        mail = f"mailto://127.0.0.1:{silent.getsockname()[1]}?from=a@b.gov&to=c@d.gov&cto=0.1"
        outcome = notifier_for(f"{webhook.url}?rto=0.1", mail).send([LATE], {}, NOW)
    assert outcome.failures == {
        "JSON 1": "A Connection error occurred sending JSON notification to 127.0.0.1.",
        "E-Mail 2": 'Connection error while submitting email to "127.0.0.1"',
    }


def test_a_problem_is_sent_once_in_a_day(webhook: Webhook) -> None:
    notifier = notifier_for(webhook.url)
    state = json.loads(json.dumps(notifier.send([LATE, LATE], {}, NOW).state))
    assert webhook.posts[0]["json"]["message"].count("Late city") == 1
    again = notifier.send([LATE], state, NOW + timedelta(hours=23))
    assert (len(webhook.posts), again.sent) == (1, {})
    later = notifier.send([FAILED], again.state, NOW + timedelta(hours=24))
    assert (len(webhook.posts), list(later.state["JSON 1"])) == (2, [FAILED.key])


def test_only_the_failed_channel_is_due_again(webhook: Webhook) -> None:
    with smtp_server() as mailbox:
        webhook.answers = [500]
        notifier = notifier_for(webhook.url, mail_url(mailbox))
        first = notifier.send([LATE], {}, NOW)
        assert list(first.failures) == ["JSON 1"]
        second = notifier.send([LATE], first.state, NOW)
        assert second.sent == {"JSON 1": [LATE.key]}
        assert (len(webhook.posts), len(mailbox.mails)) == (2, 2)  # a mail for each of two receivers


def test_many_and_long_problems_go_out_in_short_posts(webhook: Webhook) -> None:
    messages = [Message("late city", f"city_{number}", "x" * 5_000) for number in range(200)]
    outcome = notifier_for(webhook.url).send(messages, {}, NOW)
    assert outcome.sent["JSON 1"] == [message.key for message in messages[:20]]
    assert not outcome.is_complete
    (post,) = webhook.posts
    assert post["json"]["message"].endswith("... (shortened)")
    assert len(post["json"]["message"]) < 25_000
    following = notifier_for(webhook.url).send(messages, outcome.state, NOW)
    assert following.sent["JSON 1"] == [message.key for message in messages[20:40]]


def test_mail_goes_to_all_receivers_as_text() -> None:
    with smtp_server() as mailbox:
        outcome = notifier_for(mail_url(mailbox)).send([LATE, FAILED], {}, NOW)
    assert outcome.failures == {}
    assert {mail["To"] for mail in mailbox.mails} == {"a@city.gov", "b@city.gov"}
    mail = mailbox.mails[0]
    assert mail["Subject"] == "Late city: washington_dc (and 1 more)"
    assert mail["From"] == "risk@city.gov"
    assert mail.get_content_type() == "text/plain"
    assert f"Run: {RUN}" in mail.get_content()


def test_mail_with_a_wrong_login_is_due_again() -> None:
    with smtp_server(login=True) as mailbox:
        wrong = notifier_for(mail_url(mailbox, "not the password")).send([LATE], {}, NOW)
        assert wrong.failures == {"E-Mail 1": 'Connection error while submitting email to "127.0.0.1"'}
        right = notifier_for(mail_url(mailbox, mailbox.password)).send([LATE], wrong.state, NOW)
        assert (right.failures, len(mailbox.mails)) == ({}, 2)


def test_nothing_shows_a_secret(webhook: Webhook, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    webhook.answers = [403]
    address = "https://maps.example/rest/services/Alerts/MapServer/29"
    with smtp_server(login=True) as mailbox:
        notifier = notifier_for(webhook.url, mail_url(mailbox, mailbox.password))
        error = f"{webhook.url} failed, {mailbox.password}, postgresql://me:hunter22@db/x, token=abc123, {address}"
        outcome = notifier.send([Message("run failure", "dc", error)], {}, NOW)
        sent = mailbox.mails[0].get_content()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        unreachable = notifier_for(f"json://127.0.0.1:{held.getsockname()[1]}{PATH}").send([LATE], {}, NOW)
    assert list(outcome.failures) == list(unreachable.failures) == ["JSON 1"]
    shown = "\n".join(
        [repr(notifier), repr(outcome), repr(unreachable), caplog.text, sent, webhook.posts[0]["json"]["message"]]
    )
    for secret in ("secret-webhook-path", mailbox.password, quote(mailbox.password, safe=""), "hunter22", "abc123"):
        assert secret not in shown
    assert "*** failed" in sent
    assert address in sent.replace("\n", "")


def test_texts_of_files_cannot_mention_everyone_or_add_headers(webhook: Webhook) -> None:
    with smtp_server() as mailbox:
        message = Message("corrupt file", "dc, a<!channel>\r\nBcc: x@y.z\udcff.csv", "[Log in](http://x) @here")
        outcome = notifier_for(webhook.url, mail_url(mailbox)).send([message], {}, NOW)
    assert outcome.failures == {}
    text = webhook.posts[0]["json"]["message"]
    assert not any(part in text for part in ("<!channel", "@here", "]("))
    assert mailbox.mails[0]["Bcc"] is None
    assert mailbox.mails[0]["Subject"] == f"Corrupt file: dc, a<{NO_WIDTH}!channel> Bcc: x@{NO_WIDTH}y.z?.csv"


@pytest.mark.parametrize(
    "url",
    [
        "hooks.slack.com/s3cret",
        "mail://u:s3cret@host",
        "mailto://u:s3cret@",
        "slack://s3cret",
        "mailto://u:s3cret@h.gov",
    ],
)
def test_a_wrong_address_is_refused_without_its_secret(
    url: str, webhook: Webhook, capfd: pytest.CaptureFixture[str]
) -> None:
    everything_else = logging.StreamHandler()  # caplog would listen to the logger of Apprise itself
    logging.getLogger().addHandler(everything_else)
    with pytest.raises(ValueError, match="SHOTSPOTTER_NOTIFY_URLS") as error:
        notifier_for(f"{webhook.url},", url)
    logging.getLogger().removeHandler(everything_else)
    assert "s3cret" not in "".join([str(error.value), *capfd.readouterr()])
