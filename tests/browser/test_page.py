"""The page in Chromium, from end to end: `make browser`. The plain test command leaves these out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from speechjem import classify

from .page import Page

RATE = 16000
NAMED = ("button", "slider", "textbox", "spinbutton", "radio", "tab", "link")


@pytest.fixture
def recording(samples: Path, tmp_path: Path) -> Path:
    """Two seconds of the noisy sample, in stereo and at another rate than the model's."""
    noisy = soundfile.read(samples / "noisy.flac", frames=2 * RATE)[0]
    soundfile.write(tmp_path / "stereo.wav", np.stack([noisy, 0.5 * noisy], axis=1), 24000)
    return tmp_path / "stereo.wav"


def test_a_load_fetches_from_this_server_alone(page: Page, address: str) -> None:
    page.wait(lambda: len(page.tracks("duration")) == 3)  # the sample is there
    requests = [urlsplit(url) for url in page.requests()]
    assert len(requests) > 5
    others = {url.netloc for url in requests if url.scheme not in ("data", "blob")} - {
        urlsplit(address).netloc
    }
    assert not others
    errors = [entry for entry in page.browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not errors


def test_a_first_visit_shows_the_sample_before_and_after(page: Page) -> None:
    page.wait(lambda: len(page.tracks("duration")) == 3)
    assert page.status().startswith("This is the sample, before and after.")
    assert len(page.browser.find_elements(By.CSS_SELECTOR, ".scores tbody tr")) == 4


def test_denoise_waits_for_a_sample_that_is_still_loading(page: Page) -> None:
    slow = {"offline": False, "latency": 1000, "downloadThroughput": -1, "uploadThroughput": -1}
    page.browser.execute_cdp_cmd("Network.emulateNetworkConditions", slow)
    try:
        buttons = [page.button(name) for name in ("Use the sample", "Denoise")]
        page.ask("arguments[0].forEach((button) => button.click())", buttons)
        assert page.finished() == "Done: 8.29 s, 16000 Hz, 1 channel."
    finally:
        fast = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        page.browser.execute_cdp_cmd("Network.emulateNetworkConditions", fast)


def test_an_upload_is_denoised_and_plays_as_long_as_it_was(page: Page, recording: Path) -> None:
    page.upload(recording)
    page.press("Denoise")
    seconds = soundfile.info(recording).duration
    assert page.finished() == f"Done: {seconds:.2f} s, 24000 Hz, 2 channels."
    page.wait(lambda: all(state >= 1 for state in page.tracks("readyState")))
    assert page.tracks("duration") == pytest.approx([seconds] * 3, abs=1e-3)
    images = page.inside("speech-player", ".panels img")
    page.wait(lambda: all(page.ask("arguments[0].naturalWidth", image) for image in images))
    assert len(images) == 3


def test_the_sample_is_scored_and_the_switch_keeps_the_position(
    page: Page, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    page.take_sample()
    page.press("Denoise")
    page.finished()
    rows = page.browser.find_elements(By.CSS_SELECTOR, ".scores tbody tr")
    scores = {row.find_element(By.TAG_NAME, "th").text: row.text.split()[-2:] for row in rows}
    assert set(scores) == {"PESQ-WB", "STOI", "ESTOI", "SI-SDR (dB)"}
    assert all(float(after) > float(before) for before, after in scores.values())

    (play,) = page.inside("speech-player", ".play")
    play.click()
    page.wait(lambda: page.tracks("currentTime")[1] > 0.5)
    assert page.tracks("muted") == [True, False, True]
    before, _, removed = page.inside("speech-player", ".switch button")
    before.click()
    assert page.tracks("muted") == [False, True, True]
    assert page.tracks("paused") == [False] * 3
    first, *others = page.tracks("currentTime")
    assert others == pytest.approx([first, first], abs=0.5)  # of 8 s; three tracks do not start at once
    assert first > 0.5
    removed.click()
    assert page.tracks("muted") == [True, True, False]

    if picture := request.config.getoption("--picture"):
        write_picture(page, tmp_path / "page.png", Path(picture))


def write_picture(page: Page, raw: Path, path: Path) -> None:
    """The page with the playhead in the middle, in 256 colours."""
    page.inside("speech-player", ".play")[0].click()
    page.inside("speech-player", ".switch button")[1].click()
    (timeline,) = page.inside("speech-player", ".timeline")
    timeline.send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * 3)
    page.ask("document.activeElement.blur()")
    time.sleep(0.5)
    page.browser.save_screenshot(str(raw))
    Image.open(raw).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def test_keys_play_move_and_switch(page: Page, recording: Path) -> None:
    page.upload(recording)
    page.press("Denoise")
    page.finished()
    (timeline,) = page.inside("speech-player", ".timeline")
    timeline.send_keys(Keys.ARROW_RIGHT)
    assert page.tracks("currentTime") == pytest.approx([1.0] * 3, abs=0.01)
    timeline.send_keys("x")
    assert page.tracks("muted") == [False, True, True]
    assert timeline.get_attribute("aria-valuetext") == "1.0 seconds, Before"
    timeline.send_keys(" ")
    page.wait(lambda: not any(page.tracks("paused")))
    page.wait(lambda: all(page.tracks("paused")))
    assert page.tracks("currentTime")[0] == pytest.approx(soundfile.info(recording).duration, abs=0.1)


def test_words_are_generated_and_the_chain_can_be_gone_through(page: Page) -> None:
    page.tab("Generate")
    page.press("Generate")
    page.finished()
    (image,) = page.inside("speech-chain", ".plot img")
    (step,) = page.inside("speech-chain", "input[type=range]")
    last = image.get_attribute("src")
    step.send_keys(Keys.HOME)
    (caption,) = page.inside("speech-chain", "figure:first-child figcaption")
    assert caption.text.startswith("Start")
    assert image.get_attribute("src") != last
    page.wait(lambda: (page.tracks("duration")[0] or 0) > 0.5)  # none until it is loaded


def test_phones_are_shown_over_time(page: Page, samples: Path) -> None:
    page.tab("Phones")
    page.wait(lambda: page.button("Find the phones"))
    page.upload(samples / "clean.flac")
    page.press("Find the phones")
    assert page.finished().endswith("phones.")
    shown = [span.text for span in page.inside("speech-player", ".timeline .phones span")]
    heard = [segment.phone for segment in classify(*soundfile.read(samples / "clean.flac", dtype="float32"))]
    assert shown == ["" if phone == "SIL" else phone for phone in heard]
    (image,) = page.inside("speech-player", ".posteriors")
    page.wait(lambda: page.ask("arguments[0].naturalHeight", image) == 40)


def test_a_microphone_can_be_used(page: Page) -> None:
    page.wait(lambda: page.browser.find_element(By.CSS_SELECTOR, "[aria-label='Record audio']")).click()
    page.press("Record")
    time.sleep(1.5)
    page.press("Stop")
    page.wait(lambda: page.browser.find_elements(By.CSS_SELECTOR, "[aria-label='Clear']"))
    page.press("Denoise")
    page.finished()
    page.wait(lambda: (page.tracks("duration")[0] or 0) > 0.5)  # none until it is loaded


def test_a_file_that_is_no_audio_gives_a_sentence(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("dear diary")
    page.upload(tmp_path / "notes.wav")
    page.press("Denoise")
    problem = page.wait(lambda: page.browser.find_element(By.CSS_SELECTOR, "[role=alert].problem"))
    assert problem.text.startswith("Cannot read notes.wav as audio")
    assert problem.text.endswith("give an intact audio file.")


def test_a_run_can_be_stopped_and_another_started(page: Page) -> None:
    page.tab("Generate")
    box = page.wait(lambda: page.displayed("textarea")[0])
    box.clear()
    box.send_keys("one two three four five six seven eight nine ten " * 4)
    page.press("Settings")
    steps = page.wait(lambda: page.displayed("[aria-label='Steps']")[0])
    steps.clear()
    steps.send_keys("50")
    page.press("Generate")
    page.wait(lambda: page.status().startswith("Step"))
    page.press("Stop")
    page.wait(lambda: page.status() == "Stopped.")
    time.sleep(1)
    assert page.status() == "Stopped."
    box.clear()
    box.send_keys("one", Keys.ENTER)
    page.wait(lambda: page.status() != "Stopped.")
    page.finished()


def test_a_narrow_screen_does_not_scroll_sideways(page: Page, recording: Path) -> None:
    page.resize(390, 844)
    page.upload(recording)
    page.press("Denoise")
    page.finished()
    for tab in ("Denoise", "Generate", "Phones"):
        page.tab(tab)
        time.sleep(0.3)
        assert page.ask("document.scrollingElement.scrollWidth") <= 390, tab
    page.wait(lambda: page.button("Find the phones"))
    page.upload(recording)
    page.press("Find the phones")
    page.finished()
    assert page.ask("document.scrollingElement.scrollWidth") <= 390


def test_whatever_can_be_operated_has_a_name(page: Page, recording: Path) -> None:
    page.upload(recording)
    page.press("Denoise")
    page.finished()
    nodes = page.browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n["ignored"]]
    operated = [(role, name) for role, name in roles if role in NAMED]
    assert {("button", "Play"), ("slider", "Position"), ("tab", "Phones")} <= set(operated)
    assert not [role for role, name in operated if not name.strip()]


def test_a_server_that_is_ended_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "speechjem", "demo", "--port", "0"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("http://127.0.0.1:")
        assert list(tmp_path.glob("speechjem-demo-*"))
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
    assert not list(tmp_path.iterdir())
