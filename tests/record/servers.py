"""Tracking servers for the tests: a real one, and one that misbehaves as it is told to."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Server:
    """`mlflow server` in a folder, which can be started, stopped, frozen and killed."""

    def __init__(self, folder: Path, template: Path) -> None:
        folder.mkdir()
        shutil.copy(template, folder / "mlflow.db")
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port"]
        command += [str(self.port), "--backend-store-uri", "sqlite:///mlflow.db"]
        command += ["--host", "127.0.0.1"]
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        self._wait()

    def _wait(self) -> None:
        """Until it has answered from its database: the first time takes seconds."""
        question = f"{self.url}/api/2.0/mlflow/experiments/get?experiment_id=0"
        for _ in range(1500):  # five minutes: a busy machine starts it slowly
            assert self.process.poll() is None, (self.folder / "log").read_text()
            try:
                urllib.request.urlopen(question, timeout=20).close()
                return
            except OSError:
                time.sleep(0.2)
        raise AssertionError((self.folder / "log").read_text())

    def signal(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


@contextmanager
def real_server(folder: Path, template: Path) -> Iterator[Server]:
    server = Server(folder, template)
    server.start()
    try:
        yield server
    finally:
        server.kill()


class _Handler(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        stub = self.server.stub
        stub.asked.append((time.monotonic(), self.path))
        mode = stub.mode
        if mode == "hung":
            stub.over.wait(60)
            return
        if mode == "slow":
            time.sleep(0.5)
        if mode == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.connection.close()
            return
        self.send_response(503 if mode == "503" else 404)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

    def log_message(self, *_: object) -> None:
        """Quiet."""


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Resets are meant."""


class Stub:
    """Answers every question with 404, or as `mode` says: 503, reset, hung, slow."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.asked: list[tuple[float, str]] = []
        self.over = threading.Event()
        self._server = _Quiet(("127.0.0.1", 0), _Handler)
        self._server.stub = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


class _Passing(BaseHTTPRequestHandler):
    def _pass(self) -> None:
        relay = self.server.relay
        body = self._body()
        with relay.turn:
            relay.count += 1
            number = relay.count
        if relay.before is not None:
            relay.before(number, self.path)
        to = HTTPConnection("127.0.0.1", relay.port, timeout=120)
        with suppress(OSError, HTTPException):
            own = {k: v for k, v in self.headers.items() if k.lower() != "transfer-encoding"}
            to.request(self.command, self.path, body, own | {"Content-Length": str(len(body))})
            answer = to.getresponse()
            told = answer.read()
            if relay.after is not None:
                relay.after(number, self.path)
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)
        to.close()

    def _body(self) -> bytes:
        """In chunks where the file is empty, for so `requests` sends one of no length."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass

    def log_message(self, *_: object) -> None:
        """Quiet."""


class Relay:
    """Passes every request on to a server, counted; `before` and `after` are told of it."""

    def __init__(self, port: int) -> None:
        self.port, self.count, self.turn = port, 0, threading.Lock()
        self.before: Callable[[int, str], None] | None = None
        self.after: Callable[[int, str], None] | None = None
        self._server = _Quiet(("127.0.0.1", 0), _Passing)
        self._server.relay = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
