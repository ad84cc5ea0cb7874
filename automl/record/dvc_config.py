"""DVC's settings, read from its files: where the cache lies, and what ought not to be in Git."""

import os
import re
from collections.abc import Iterator
from configparser import ConfigParser, Error
from pathlib import Path

SECRETS = frozenset(
    ("password", "token", "access_key_id", "secret_access_key", "session_token", "account_key")
    + ("sse_customer_key", "connection_string", "sas_token", "client_secret", "oss_key_id")
    + ("oss_key_secret", "gdrive_client_secret", "gdrive_service_account_json")
)
"""Options of a remote whose values open it."""


def cache_folder(root: Path) -> Path:
    """Where DVC keeps the bytes of a workspace, by their MD5."""
    folder = root / ".dvc" / "cache"
    for file in _files(root):
        named = _read(file).get("cache", "dir", fallback="")
        if named:
            folder = Path(os.path.normpath(file.parent / Path(named).expanduser()))
    return folder / "files" / "md5"


def open_secrets(root: Path) -> list[tuple[str, str]]:
    """Remote and option of each secret in `.dvc/config`, which Git keeps for everybody."""
    return [
        (_remote(section), option)
        for section, option, value in _values(root / ".dvc" / "config")
        if _opens(option, value)
    ]


def secret_values(root: Path) -> list[str]:
    """What no record of a run may hold: the keys of the remotes, wherever they are set."""
    return [
        value
        for file in _files(root)
        for _, option, value in _values(file)
        if _opens(option, value) and "://" not in value
    ]


def system_config() -> ConfigParser:
    """What the machine's administrator has set for DVC."""
    folder = _system_folder()
    return _read(folder / "config") if folder else _read(Path(os.devnull))


def _opens(option: str, value: str) -> bool:
    if "://" in value:
        return bool(re.search(r"://[^/@\s]*:[^/@\s]+@", value))
    return option in SECRETS and bool(value)


def _values(file: Path) -> Iterator[tuple[str, str, str]]:
    config = _read(file)
    for section in config.sections():
        for option, value in config.items(section):
            yield section, option, value


def _remote(section: str) -> str:
    """`shelf` of the section `'remote "shelf"'`."""
    return section.strip("'").removeprefix("remote").strip(' "')


def _files(root: Path) -> Iterator[Path]:
    """From the weakest to the strongest."""
    folders = (_system_folder(), _user_folder())
    yield from (folder / "config" for folder in folders if folder)
    yield root / ".dvc" / "config"
    yield root / ".dvc" / "config.local"


def _system_folder() -> Path | None:
    return _folder("DVC_SYSTEM_CONFIG_DIR", "site_config_dir")


def _user_folder() -> Path | None:
    return _folder("DVC_GLOBAL_CONFIG_DIR", "user_config_dir")


def _folder(variable: str, named: str) -> Path | None:
    if os.environ.get(variable):
        return Path(os.environ[variable])
    try:
        import platformdirs
    except ImportError:  # comes with DVC
        return None
    return Path(getattr(platformdirs, named)("dvc", "iterative"))


def _read(file: Path) -> ConfigParser:
    """An INI file; what cannot be read says nothing here, DVC itself will tell."""
    config = ConfigParser(interpolation=None, strict=False)
    try:
        config.read(file, encoding="utf-8")
    except (Error, UnicodeDecodeError):
        return ConfigParser(interpolation=None)
    return config
