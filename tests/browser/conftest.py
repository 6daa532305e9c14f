"""A server of the page as a user starts it, and a real browser without a window."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from selenium import webdriver

from .page import Page

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --autoplay-policy=no-user-gesture-required "
    "--use-fake-device-for-media-stream --use-fake-ui-for-media-stream"
).split()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--picture", help="Write a picture of the page with a denoised recording.")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps its files."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="session")
def address(folder: Path) -> Iterator[str]:
    """Of a page that serves the shipped model."""
    command = [sys.executable, "-m", "speechjem", "demo", "--port", "0"]
    environment = os.environ | {"TMPDIR": str(folder)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        yield server.stdout.readline().split()[0]
        server.terminate()


@pytest.fixture(scope="session")
def spoken(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the microphone hears, again and again."""
    noisy, rate = soundfile.read(samples / "noisy.flac")
    path = tmp_path_factory.mktemp("microphone") / "spoken.wav"
    soundfile.write(path, noisy, rate)
    return path


@pytest.fixture(scope="session")
def chromium(spoken: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.fail("These tests need a browser; run: apt-get install -y chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    profile = tmp_path_factory.mktemp("profile")
    for flag in (*FLAGS, f"--user-data-dir={profile}", f"--use-file-for-fake-audio-capture={spoken}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    chrome = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


@pytest.fixture
def page(chromium: webdriver.Chrome, address: str) -> Page:
    """The page, newly loaded, on a desktop's screen."""
    return Page(chromium, address)


@pytest.fixture(scope="session")
def samples() -> Path:
    return Path(__file__).parents[2] / "samples"
