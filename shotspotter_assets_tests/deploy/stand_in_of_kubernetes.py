"""A stand-in of Kubernetes: those parts of its API that the run launcher calls; each job is a process."""

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml


class Kubernetes:
    """Jobs, with their processes, in the only namespace.

    Args:
        folder: for what processes print.
        secrets: content of each secret.
        local: variables whose values are others here, such as addresses.
    """

    def __init__(self, folder: Path, secrets: Mapping[str, Mapping[str, str]], local: Mapping[str, str]) -> None:
        self.folder, self.secrets, self.local = folder, secrets, dict(local)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def make(self, job: dict[str, Any]) -> dict[str, Any]:
        """A job, and the process of its pod."""
        name = job["metadata"]["name"]
        [container] = job["spec"]["template"]["spec"]["containers"]
        self.jobs[name] = job
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                container["args"], env=self.environment(container) | self.local, cwd=self.folder, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        return job

    def environment(self, container: Mapping[str, Any]) -> dict[str, str]:
        """What a container's process finds, secrets among it."""
        found: dict[str, str] = {}
        for source in container.get("envFrom", []):
            found |= self.secrets[source["secretRef"]["name"]]
        for variable in container.get("env", []):
            if "valueFrom" in variable:
                key = variable["valueFrom"]["secretKeyRef"]
                found[variable["name"]] = self.secrets[key["name"]][key["key"]]
            else:
                found[variable["name"]] = variable["value"]
        return found

    def status(self, name: str) -> dict[str, Any] | None:
        """A job with what has become of its pod, as the job says it."""
        if name not in self.jobs:
            return None
        ended = self.processes[name].poll()
        what = "active" if ended is None else "succeeded" if ended == 0 else "failed"
        return {**self.jobs[name], "status": {what: 1}}

    def delete(self, name: str) -> None:
        """End a job: its process is told to."""
        self.jobs.pop(name, None)
        with contextlib.suppress(ProcessLookupError):
            self.processes[name].send_signal(signal.SIGTERM)

    def kill(self, name: str) -> None:
        """All processes of a job, at once, as when its node is lost."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.processes[name].pid, signal.SIGKILL)
        self.processes[name].wait()

    def answer(self, method: str, path: str, query: Mapping[str, list[str]], body: Any) -> Any:
        """What the API says to a request; nothing where it has no such thing."""
        kind, _, name = path.partition("/namespaces/shotspotter/")[2].partition("/")
        name = name.removesuffix("/status")
        match method, kind:
            case "POST", "jobs":
                return self.make(body)
            case "GET", "jobs" if name:
                return self.status(name)
            case "DELETE", "jobs" | "pods" if name in self.jobs:
                self.delete(name)
                return {"status": "Success"}
            case "GET", "pods" | "jobs" | "events":
                asked = query.get("labelSelector", [""])[0].removeprefix("job-name=")
                return {"items": [{"metadata": {"name": job}} for job in self.jobs if kind == "pods" and job == asked]}
        return None


@contextlib.contextmanager
def stand_in(
    folder: Path, secrets: Mapping[str, Mapping[str, str]], local: Mapping[str, str]
) -> Iterator[tuple[Kubernetes, Path]]:
    """The running API, and the file that says where it is; processes of pods end with the block."""
    kubernetes = Kubernetes(folder, secrets, local)

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            asked = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            answer = kubernetes.answer(self.command, asked.path, parse_qs(asked.query), body)
            content = json.dumps(answer or {"code": 404}).encode()
            self.send_response(200 if answer else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _answer

        def log_message(self, *_arguments: object) -> None:
            """Not on the screen."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "here", "users": [{"name": "here", "user": {}}],
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
    }  # fmt: skip
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    try:
        yield kubernetes, folder / "kubeconfig"
    finally:
        for name in kubernetes.processes:
            kubernetes.kill(name)
        server.shutdown()
        server.server_close()
