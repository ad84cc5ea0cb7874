"""A URL with a password in, one without out; the whole one stays in this process.

What a run writes down must not open a server to whoever reads it.
"""

import os
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

SECRET_WORDS = ("token", "key", "secret", "password", "passwd", "signature", "credential", "sig")
_whole: dict[str, str] = {}


def bare(url: str) -> str:
    """The URL without user, password and signed queries; `whole` knows what was taken away."""
    parts = _split(url)
    if parts is None:
        return url
    query = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in query if not _is_secret(name)]
    if "@" not in parts.netloc and len(kept) == len(query):
        return url
    host = parts.netloc.rpartition("@")[2]
    text = parts.query if len(kept) == len(query) else urlencode(kept)
    without = urlunsplit((parts.scheme, host, parts.path, text, parts.fragment))
    _whole[without] = url
    return without


def whole(url: str) -> str:
    """The URL as a store is opened by; a web server's user and password go to the environment.

    Where it was written without them, this process or `MLFLOW_TRACKING_URI` may still have them.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI", "")
    full = url if bare(url) != url else _whole.get(url, "")
    if not full and given != url and bare(given) == url:
        full = given
    parts = _split(full)
    if parts is None or parts.scheme not in ("http", "https"):
        return full or url
    if parts.username:
        os.environ.setdefault("MLFLOW_TRACKING_USERNAME", unquote(parts.username))
        os.environ.setdefault("MLFLOW_TRACKING_PASSWORD", unquote(parts.password or ""))
    return bare(full)


def notice(url: str) -> str:
    """What a person is told whose recipe has a password in it; empty where it has none."""
    if bare(url) == url:
        return ""
    cure = "MLFLOW_TRACKING_URI"
    if url.startswith("http"):
        cure = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    return f"the password in `track.mlflow` is not written down; for later stages set {cure}"


def secrets_in(url: str) -> list[str]:
    """The password and the signed values of a URL, as they may turn up in a message."""
    parts = _split(url)
    if parts is None:
        return []
    signed = [value for name, value in parse_qsl(parts.query) if _is_secret(name)]
    return [*signed, *([parts.password, unquote(parts.password)] if parts.password else [])]


def known() -> list[str]:
    """The secrets of all URLs that `bare` has seen."""
    return [secret for url in _whole.values() for secret in secrets_in(url)]


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in SECRET_WORDS)


def _split(url: str) -> SplitResult | None:
    if "://" not in url:
        return None
    try:
        parts = urlsplit(url)
        parts.username  # noqa: B018  # a malformed one is found by asking
    except ValueError:
        return None
    return parts
