"""A real webhook and a real SMTP server on free loopback ports, which keep what they were sent."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shotspotter_assets_tests.alerts.sources.api.api_server import serving
from shotspotter_assets_tests.ports import free_port

PATH = "/services/T0/B0/secret-webhook-path"


@dataclass
class Webhook:
    """What a webhook answers, one status after the other and then 200, and the posts that it got."""

    url: str = ""  # for Apprise
    answers: list[int] = field(default_factory=list)
    is_silent: bool = False
    says: str = f"no service at {PATH}"  # with any answer but 200
    posts: list[dict[str, Any]] = field(default_factory=list)


@contextlib.contextmanager
def webhook_server() -> Iterator[Webhook]:
    """Serve a webhook that answers as its `answers` say; a redirect leads nowhere."""
    webhook = Webhook()

    async def answer(request: Request) -> Response:
        post = {"path": request.url.path, "type": request.headers["Content-Type"], "json": await request.json()}
        webhook.posts.append(post)
        while webhook.is_silent:
            await asyncio.sleep(0.01)
        status = webhook.answers.pop(0) if webhook.answers else 200
        headers = {"Location": "/elsewhere"} if status == 302 else {}
        return Response("ok" if status == 200 else webhook.says, status, headers)

    with serving([Route("/{path:path}", answer, methods=["POST"])]) as server:
        webhook.url = server.url.replace("http:", "json:") + PATH
        yield webhook


@dataclass
class Mailbox:
    host: str = "127.0.0.1"
    port: int = 0
    user: str = "risk@city"
    password: str = "pass:word/1"
    answers: list[str] = field(default_factory=list)
    mails: list[Message] = field(default_factory=list)

    async def handle_MAIL(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _: Any) -> str:
        if self.answers:
            return self.answers.pop(0)
        envelope.mail_from = address
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        self.mails.append(BytesParser(policy=default).parsebytes(envelope.content))
        return "250 OK"

    def authenticate(self, *given: Any) -> AuthResult:
        *_, login = given
        right = LoginPassword(self.user.encode(), self.password.encode())
        return AuthResult(success=login == right, handled=False)


@contextlib.contextmanager
def smtp_server(*, login: bool = False) -> Iterator[Mailbox]:
    mailbox = Mailbox()
    options: dict[str, Any] = {"authenticator": mailbox.authenticate, "auth_required": True} if login else {}
    options["auth_require_tls"] = False
    controller = Controller(mailbox, hostname=mailbox.host, port=free_port(mailbox.host), **options)
    controller.start()
    mailbox.port = controller.port
    try:
        yield mailbox
    finally:
        controller.stop()
