"""The page of `speechjem export --web`, in Chromium: what it gives is what Python gives."""

from __future__ import annotations

import base64
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import scipy.signal
import soundfile
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

import speechjem

from .page import Page
from .test_page import NAMED

RATE = 16000
DROP = """
const [name, content] = arguments;
const bytes = Uint8Array.from(atob(content), (sign) => sign.charCodeAt(0));
const dataTransfer = new DataTransfer();
dataTransfer.items.add(new File([bytes], name));
document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
"""
# Plays one long block that begins with 1 before and -1 after and rises, and switches to before.
PLAY = """
const [rate, length, count, step, turn, answer] = arguments;
const play = async () => {
  const context = new OfflineAudioContext(1, length, rate);
  await context.audioWorklet.addModule("microphone.js");
  const node = new AudioWorkletNode(context, "microphone");
  const { port1, port2 } = new MessageChannel();
  node.port.postMessage({ worker: port1 }, [port1]);
  const row = (start) => Float32Array.from({ length: count }, (_, i) => start + step * i);
  port2.postMessage({ before: row(1), after: row(-1) });
  node.connect(context.destination);
  const at = (seconds, work) => context.suspend(seconds).then(async () => {
    await work();
    await new Promise((next) => setTimeout(next, 500));
    await context.resume();
  });
  at(0, () => {});
  at(turn, () => node.port.postMessage({ after: false }));
  answer(Array.from((await context.startRendering()).getChannelData(0)));
};
play().catch((error) => answer(String(error)));
"""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web") / "site"
    subprocess.run([sys.executable, "-m", "speechjem", "export", "--web", str(folder)], check=True)
    return folder


@pytest.fixture(scope="session")
def web_address(site: Path) -> Iterator[str]:
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "-d", str(site)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().split("(")[1].split(")")[0]
        server.terminate()


@pytest.fixture
def page(chromium: Chrome, web_address: str, tmp_path: Path) -> Page:
    page = Page(chromium, web_address, "Use the sample")
    behaviour = {"behavior": "allow", "downloadPath": str(tmp_path / "downloads")}
    chromium.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
    page.wait(lambda: page.status() == "Ready.")
    return page


def drop(page: Page, path: Path) -> None:
    page.browser.execute_script(DROP, path.name, base64.b64encode(path.read_bytes()).decode())


def problem(page: Page) -> str:
    return page.wait(lambda: page.displayed("[role=alert]")[0].text)


def downloaded(page: Page, track: str, path: Path) -> tuple[np.ndarray, int]:
    """A track of the player, shape (channels, samples), by its link."""
    switch = page.inside("speech-player", ".switch button")
    next(button for button in switch if button.text == track).click()
    page.inside("speech-player", ".download")[0].click()
    page.wait(lambda: path.exists() and not list(path.parent.glob("*.crdownload")))
    samples, rate = soundfile.read(path, always_2d=True)
    return samples.T, rate


def streamed(samples: np.ndarray, rate: int) -> np.ndarray:
    stream = speechjem.StreamDenoiser(rate, len(samples))
    return np.concatenate([stream.push(samples), stream.flush()], axis=1)


@pytest.mark.parametrize(
    ("rate", "channels", "name"), [(16000, 1, "a.wav"), (48000, 2, "b.flac"), (44100, 1, "c.wav")]
)
def test_a_dropped_file_becomes_what_python_makes_of_it(
    page: Page, samples: Path, tmp_path: Path, rate: int, channels: int, name: str
) -> None:
    noisy = soundfile.read(samples / "noisy.flac", stop=3 * RATE)[0]
    hiss = 0.02 * np.random.default_rng(0).standard_normal((channels, 3 * rate))  # also above 8 kHz
    recording = scipy.signal.resample_poly(noisy, rate, RATE) * [[1.0], [0.1]][:channels] + hiss
    soundfile.write(tmp_path / name, recording.T, rate)
    drop(page, tmp_path / name)
    plural = "1 channel" if channels == 1 else f"{channels} channels"
    assert page.finished() == f"Done: 3.00 s, {rate} Hz, {plural}."
    enhanced, given_rate = downloaded(page, "After", tmp_path / f"downloads/{name[0]}-after.wav")
    heard = soundfile.read(tmp_path / name)[0].T.reshape(channels, -1)
    assert given_rate == rate
    np.testing.assert_allclose(enhanced, streamed(heard, rate), atol=1e-3)
    assert "Load" in page.browser.find_element(By.ID, "facts").text


def test_a_chosen_file_is_denoised_too(page: Page, samples: Path) -> None:
    page.browser.find_element(By.ID, "file").send_keys(str(samples / "noisy.flac"))
    assert page.finished() == "Done: 8.29 s, 16000 Hz, 1 channel."


def test_the_microphone_is_denoised_as_python_does(page: Page, spoken: Path, tmp_path: Path) -> None:
    page.press("Use the microphone")
    facts = page.browser.find_element(By.ID, "facts")
    page.wait(lambda: float(facts.text.split()[1]) > 1.5)
    assert {"Load", "Latency", "Dropouts"} <= set(facts.text.split())
    assert all(page.ask("arguments[0].value > -60", meter) for meter in page.displayed("meter"))
    page.press("Stop")
    page.finished()
    before, rate = downloaded(page, "Before", tmp_path / "downloads/microphone-before.wav")
    after, _ = downloaded(page, "After", tmp_path / "downloads/microphone-after.wav")
    ends = slice(0, -rate // 100)  # which filters of other lengths do not share
    np.testing.assert_allclose(after[:, ends], streamed(before, rate)[:, ends], atol=1e-3)

    said = scipy.signal.resample_poly(soundfile.read(spoken)[0], rate, RATE)
    second = before[0, rate // 2 : 3 * rate // 2]
    found = scipy.signal.correlate(np.tile(said, 2), second, "valid")
    place = np.abs(found).argmax()
    heard = np.tile(said, 2)[place : place + rate]
    assert np.corrcoef(heard, second)[0, 1] > 0.95


def test_what_is_heard_switches_without_a_gap(page: Page) -> None:
    rate, length = 48000, 9600
    played = page.browser.execute_async_script(PLAY, rate, length, length, 0, length / rate / 2)
    heard = np.array(played)
    begun = np.flatnonzero(heard)[0]
    assert begun <= 1024  # four quanta at least wait before they are played
    assert (heard[begun : length // 2 - 128] == -1).all()
    assert (heard[-2000:] == 1).all()
    turn = np.diff(heard[begun:])
    assert (turn >= 0).all() and turn.max() < 0.01


def test_what_waits_in_vain_is_left_out(page: Page) -> None:
    """The latency of the first blocks, which are late, does not stay: after a second the newest is heard."""
    rate, length, count = 48000, 72000, 96000
    heard = np.array(page.browser.execute_async_script(PLAY, rate, length, count, 1, 1.4))
    assert heard[rate - 1024] < rate
    assert heard.max() == count - 2
    assert heard.argmax() < rate + 2048


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"dear diary", "cannot be decoded by this browser; give a WAV, FLAC, MP3 or Ogg file."),
        (b"", "cannot be decoded by this browser; give a WAV, FLAC, MP3 or Ogg file."),
        (
            np.full(RATE, np.nan, np.float32),
            "has samples that are no finite numbers; write it again without them.",
        ),
        (
            np.zeros(16 * 60 * 4000, np.uint8),
            "is longer than the 15 minutes that a page can hold; run: speechjem denoise",
        ),
    ],
    ids=["text", "nothing", "nan", "long"],
)
def test_a_file_that_cannot_be_used_gives_a_sentence(
    page: Page, tmp_path: Path, content: bytes | np.ndarray, message: str
) -> None:
    path = tmp_path / "notes.wav"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content.dtype == np.float32:
        soundfile.write(path, content, RATE, subtype="FLOAT")
    else:
        soundfile.write(path, np.zeros(len(content)), 4000, subtype="PCM_U8")
    page.browser.find_element(By.ID, "file").send_keys(str(path))
    assert problem(page) == f"notes.wav {message}"
    assert page.ask("document.getElementById('sample').disabled") is False


def test_a_refused_microphone_gives_a_sentence(page: Page, site: Path, web_address: str) -> None:
    (site / "host.html").write_text("""<iframe src="index.html" allow="microphone 'none'"></iframe>""")
    page.browser.get(f"{web_address}host.html")
    page.browser.switch_to.frame(0)
    try:
        page.wait(lambda: page.status() == "Ready.")
        page.press("Use the microphone")
        assert problem(page).startswith("The microphone was refused; allow it for this page")
    finally:
        page.browser.switch_to.default_content()


def test_a_browser_without_simd_gives_a_sentence(page: Page, web_address: str) -> None:
    old = {"source": "WebAssembly.validate = () => false"}
    script = page.browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", old)
    try:
        page.browser.get(web_address)
        assert problem(page).startswith("This browser has no WebAssembly SIMD")
        assert not page.button("Use the sample").is_enabled()
    finally:
        page.browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def test_nothing_comes_from_elsewhere(page: Page, web_address: str) -> None:
    page.press("Use the sample")
    page.finished()
    time.sleep(0.5)
    asked = [urlsplit(url) for url in page.requests()]
    assert len(asked) > 5
    assert {url.netloc for url in asked if url.scheme not in ("data", "blob")} == {
        urlsplit(web_address).netloc
    }
    assert not [entry for entry in page.browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_whatever_can_be_operated_has_a_name_and_fits_a_telephone(page: Page) -> None:
    page.resize(390, 844)
    page.press("Use the sample")
    page.finished()
    assert page.ask("document.scrollingElement.scrollWidth") <= 390
    nodes = page.browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n["ignored"]]
    operated = [(role, name) for role, name in roles if role in NAMED]
    assert {("button", "Play"), ("button", "Use the microphone"), ("slider", "Position")} <= set(operated)
    assert not [role for role, name in operated if not name.strip()]
