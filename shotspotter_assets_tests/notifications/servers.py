"""A real webhook and a real SMTP server on free loopback ports, which keep what they were sent."""

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from shotspotter_assets_tests.ports import free_port

PATH = "/services/T0/B0/secret-webhook-path"


@dataclass
class Webhook:
    """What a webhook answers, one status after the other and then 200, and the posts that it got."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    is_silent: bool = False
    says: str = f"no service at {PATH}"  # with any answer but 200
    posts: list[dict[str, Any]] = field(default_factory=list)


@contextlib.contextmanager
def webhook_server() -> Iterator[Webhook]:
    webhook, is_over = Webhook(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            webhook.posts.append({"path": self.path, "type": self.headers["Content-Type"], "json": json.loads(body)})
            if webhook.is_silent:
                is_over.wait()
            status = webhook.answers.pop(0) if webhook.answers else 200
            answer = b"ok" if status == 200 else webhook.says.encode()
            with contextlib.suppress(OSError):
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    webhook.url = f"http://127.0.0.1:{server.server_port}{PATH}"
    try:
        yield webhook
    finally:
        is_over.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Mailbox:
    host: str = "127.0.0.1"
    port: int = 0
    user: str = "risk@city"
    password: str = "pass:word/1"
    answers: list[str] = field(default_factory=list)
    logins: int = 0
    encrypted: list[bool] = field(default_factory=list)
    mails: list[Message] = field(default_factory=list)

    async def handle_MAIL(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _: Any) -> str:
        if self.answers:
            return self.answers.pop(0)
        envelope.mail_from = address
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:
        self.encrypted.append(session.ssl is not None)
        self.mails.append(BytesParser(policy=default).parsebytes(envelope.content))
        return "250 OK"

    def authenticate(self, *given: Any) -> AuthResult:
        *_, login = given
        self.logins += 1
        right = LoginPassword(self.user.encode(), self.password.encode())
        return AuthResult(success=login == right, handled=False)


@contextlib.contextmanager
def smtp_server(
    host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, *, login: bool = False
) -> Iterator[Mailbox]:
    mailbox = Mailbox(host=host)
    options: dict[str, Any] = {"authenticator": mailbox.authenticate, "auth_required": True} if login else {}
    options["auth_require_tls"] = False
    controller = Controller(mailbox, hostname=host, port=free_port(host), tls_context=tls, **options)
    controller.start()
    mailbox.port = controller.port
    try:
        yield mailbox
    finally:
        controller.stop()
