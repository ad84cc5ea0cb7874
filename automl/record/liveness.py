"""A store's address in; whether it still answers, asked again and again beside the real work."""

import base64
import contextlib
import os
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from types import TracebackType
from urllib.parse import quote, unquote, urlsplit, urlunsplit

PAUSE_S = 0.2
"""Between an answer and the next question."""
TIMEOUT_S = 20.0
"""Of one question."""

PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
"""Of the databases that MLflow can be told to write to itself."""


class Liveness:
    """Asks in a thread of its own, so that no name service or slow proxy can hold the caller."""

    def __init__(self, uri: str, experiment: str) -> None:
        """Nothing is asked before the block is entered."""
        self._uri, self._experiment = uri, experiment
        self._asked: float | None = None
        self._stop = threading.Event()
        self._heard = threading.Event()
        self.why = ""
        """Why the last question had no good answer; empty while one is awaited."""
        self.answered = False

    @property
    def silent_s(self) -> float:
        """How long the store has owed an answer."""
        asked = self._asked
        return time.monotonic() - asked if asked is not None else 0.0

    def first(self, patience_s: float) -> bool:
        """Waits for the first answer; False where it is none, or a bad one."""
        if not can_be_asked(self._uri):
            return True
        if not self._heard.wait(patience_s):
            self.why = f"no answer for {patience_s:g} s"
        return self.answered

    def __enter__(self) -> "Liveness":
        """Begins to ask, where the store is one that can be asked."""
        if can_be_asked(self._uri):
            threading.Thread(target=self._ask, name="liveness", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Lets the thread end by itself: waiting for a hung server is what it is there to spare."""
        self._stop.set()

    def _ask(self) -> None:
        while not self._stop.is_set():
            if self._asked is None:
                self._asked = time.monotonic()
            why = ask(self._uri, self._experiment)
            if why:
                self.why = why
            else:
                self._asked, self.answered = None, True
            self._heard.set()
            self._stop.wait(PAUSE_S)


def can_be_asked(uri: str) -> bool:
    """Whether the store is elsewhere: a file answers or fails at once."""
    parts = urlsplit(uri)
    kind = parts.scheme.partition("+")[0]
    return bool(parts.hostname) and kind in ("http", "https", *PORTS)


def ask(uri: str, experiment: str) -> str:
    """One question; empty if it was answered, else why not."""
    parts = urlsplit(uri)
    kind = parts.scheme.partition("+")[0]
    try:
        if kind in PORTS:
            place = (parts.hostname or "", parts.port or PORTS[kind])
            socket.create_connection(place, TIMEOUT_S).close()
        else:
            urllib.request.urlopen(_question(uri, experiment), timeout=TIMEOUT_S).close()  # noqa: S310
    except urllib.error.HTTPError as answer:
        answer.close()
        return f"it answers {answer.code}" if answer.code >= 500 else ""
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        # a certificate that only MLflow's settings trust: the server is there, MLflow decides
        return "" if isinstance(reason, ssl.SSLCertVerificationError) else str(reason)
    except Exception as error:  # half an answer, in any of the ways that `http.client` has for it
        return f"no HTTP: {type(error).__name__}"
    return ""


def _question(uri: str, experiment: str) -> urllib.request.Request:
    """A question that the server needs its database for, with the user's right to ask it."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    path = f"{parts.path.rstrip('/')}/api/2.0/mlflow/experiments/get-by-name"
    query = f"experiment_name={quote(experiment)}"
    request = urllib.request.Request(urlunsplit((parts.scheme, host, path, query, "")))  # noqa: S310
    user = parts.username or os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    password = parts.password or os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    token = os.environ.get("MLFLOW_TRACKING_TOKEN", "")
    with contextlib.suppress(UnicodeError):
        if user:
            pair = f"{unquote(user)}:{unquote(password)}".encode()
            request.add_header("Authorization", f"Basic {base64.b64encode(pair).decode()}")
        elif token:
            request.add_header("Authorization", f"Bearer {token}")
    return request
