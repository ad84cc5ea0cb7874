"""The page in a real browser: it shows, asks nobody, complains of nothing and fits any width."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest

from tests.report.conftest import TASKS

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--hide-scrollbars", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--allow-file-access-from-files", "--enable-logging=stderr",
]  # fmt: skip


@dataclass(frozen=True)
class Visit:
    """What a browser made of a page: its document, console lines, and addresses it asked for."""

    dom: str
    console: list[str]
    asked: set[str]


def browse(page: Path, folder: Path, *flags: str) -> Visit:
    log = folder / "net.json"
    command = [
        str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}",
        "--host-resolver-rules=MAP * ~NOTFOUND", *flags, page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    params = [e.get("params", {}) for e in json.loads(log.read_text())["events"]]
    # The browser's own errands do not belong to a page.
    own = [p for p in params if "url" in p and p.get("network_isolation_key", "")[:7] == "file://"]
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return Visit(done.stdout, console, {p["url"] for p in own})


def test_browse__notices_requests_and_complaints(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text('<img src="http://example.invalid/x.png"><script>nonsense()</script>')
    seen = browse(page, tmp_path, "--dump-dom")
    assert seen.asked == {"http://example.invalid/x.png"}
    assert len(seen.console) == 1


@pytest.mark.parametrize("task", TASKS)
def test_page__asks_nobody_and_complains_of_nothing(finished, task, tmp_path):
    seen = browse(finished[task].report, tmp_path, "--dump-dom")
    assert seen.asked == set()
    assert seen.console == []
    for part in ("scores", "examples", "training", "data", "choices", "use", "provenance"):
        assert f'<section id="{part}"' in seen.dom


@pytest.mark.parametrize("width", [360, 480, 1280])
def test_page__fits_its_width(finished, width, tmp_path):
    frames = "".join(
        f'<iframe src="{run.report.as_uri()}" width="{width}" height="900"></iframe>'
        for run in finished.values()
    )
    measure = (
        "onload = () => document.title = [...document.querySelectorAll('iframe')]"
        ".map(f => f.contentDocument.documentElement.scrollWidth).join(' ')"
    )
    page = tmp_path / "frames.html"
    page.write_text(f"{frames}<script>{measure}</script>", encoding="utf-8")
    seen = browse(page, tmp_path, "--window-size=1600,3000", "--dump-dom")
    title = seen.dom.partition("<title>")[2].partition("</title>")[0]
    assert len(title.split()) == 3
    assert all(int(found) <= width for found in title.split())


def test_page__no_heading_of_a_table_is_torn_into_letters(finished, tmp_path):
    run = finished["detection"]
    measure = (
        "onload = () => document.title = Math.max(...[...document.querySelector('iframe')"
        ".contentDocument.querySelectorAll('.scroll thead th')].map(h => h.offsetHeight / "
        "parseFloat(getComputedStyle(h).lineHeight || 20)))"
    )
    page = tmp_path / "frame.html"
    frame = f'<iframe src="{run.report.as_uri()}" width="360" height="900"></iframe>'
    page.write_text(f"{frame}<script>{measure}</script>", encoding="utf-8")
    seen = browse(page, tmp_path, "--window-size=1600,3000", "--dump-dom")
    lines = float(seen.dom.partition("<title>")[2].partition("</title>")[0])
    assert 1 <= lines < 4


def test_page__follows_the_colour_scheme(finished, tmp_path):
    shades = {}
    for name, scheme in (("dark", 0), ("light", 1)):
        shot = tmp_path / f"{name}.png"
        folder = tmp_path / name
        folder.mkdir()
        flags = (f"--blink-settings=preferredColorScheme={scheme}", f"--screenshot={shot}")
        browse(finished["detection"].report, folder, "--window-size=1000,1400", *flags)
        image = cv2.imread(str(shot))
        assert image.shape == (1400, 1000, 3)
        shades[name] = float(image.mean())
    assert shades["dark"] < 70
    assert shades["light"] > 200
