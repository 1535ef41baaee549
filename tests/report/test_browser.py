"""The page in a headless browser: no error in its console, structures drawn."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def browser() -> str:
    for name in _NAMES:
        found = shutil.which(name)
        if found:
            return found
    pytest.skip("no Chromium is installed")


def run(browser: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
            "--virtual-time-budget=3000",
            f"--user-data-dir={folder / 'browser'}",
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )


@pytest.mark.slow
def test_no_error_and_every_structure_has_its_buttons(
    browser: str, page: Path, tmp_path: Path
) -> None:
    result = run(browser, tmp_path, "--dump-dom", page.as_uri())
    console = [line for line in result.stderr.splitlines() if ":CONSOLE" in line]
    assert not console
    buttons = re.findall(
        r'<button type="button" aria-pressed="(\w+)">([^<]*)</button>', result.stdout
    )
    assert buttons.count(("true", "medoid")) == 2
    assert len(buttons) == 8
    assert "<i>chlorine" not in result.stdout


@pytest.mark.slow
def test_structures_are_drawn(browser: str, page: Path, tmp_path: Path) -> None:
    # A page that shows one canvas alone, as large as the window.
    text = page.read_text(encoding="utf-8")
    alone = text.replace("</style>", "header, section:not(#state-1) { display: none; }</style>")
    (tmp_path / "alone.html").write_text(alone, encoding="utf-8")
    picture = tmp_path / "alone.png"
    address = (tmp_path / "alone.html").as_uri()
    run(browser, tmp_path, f"--screenshot={picture}", "--window-size=700,700", address)
    pixels = np.round(255 * matplotlib.image.imread(picture)[..., :3])
    # Sulfur's yellow is on the canvas, and nowhere else on the page but in the legend.
    yellow = (pixels[..., 0] > 180) & (pixels[..., 1] > 180) & (pixels[..., 2] < 120)
    assert yellow.sum() > 500
