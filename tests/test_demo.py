"""The page without a browser: what its runs yield, and what its server gives and refuses over HTTP."""

from __future__ import annotations

import html
import io
import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote

import httpx
import matplotlib.image
import numpy as np
import pytest
import soundfile
import speechmos.dnsmos
import uvicorn

import speechjem
from speechjem import cli, metrics
from speechjem.demo import server
from speechjem.demo.runs import MAX_CHARACTERS, MAX_SECONDS, Runs, watched
from speechjem.errors import SpeechjemError
from speechjem.generation.generator import Generator
from speechjem.models import checkpoint

RATE = 16000
SAMPLES = Path(__file__).parents[1] / "samples"


@pytest.fixture(scope="module")
def model():
    return checkpoint.load()


@pytest.fixture
def runs(model, tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    return Runs(model, folder)


@pytest.fixture
def pair(tmp_path):
    """Two seconds of the sample: paths of the noisy and of the clean recording."""
    paths = []
    for name in ("noisy", "clean"):
        samples = soundfile.read(SAMPLES / f"{name}.flac", frames=2 * RATE)[0]
        paths.append(str(tmp_path / f"{name}.wav"))
        soundfile.write(paths[-1], samples, RATE)
    return paths


def shown(outputs):
    """What the elements of some outputs show."""
    return [json.loads(html.unescape(v)) for text in outputs for v in re.findall(r"data-view='(.*?)'>", text)]


def file_at(url):
    return Path(unquote(url.removeprefix("gradio_api/file=")))


def table(text):
    """Rows of a table of scores, in words."""
    rows = re.findall(r"<tr>(.*?)</tr>", text)
    return [
        [re.sub("<.*?>", "", cell) for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row)] for row in rows
    ]


# Runs


def test_denoise_plays_what_the_library_gives(runs, pair):
    *_, last = runs.denoise(*pair)
    (view,) = shown(last)
    assert view["seconds"] == 2.0
    noisy, rate = soundfile.read(pair[0], dtype="float32")
    before, after, removed = (soundfile.read(file_at(t["url"]), dtype="float32") for t in view["tracks"])
    assert before[1] == after[1] == rate
    np.testing.assert_array_equal(before[0], noisy)
    # In bfloat16 the rounding differs with the block.
    assert metrics.si_sdr(speechjem.denoise(noisy, rate), after[0]) > 40
    np.testing.assert_allclose(after[0] + removed[0], noisy, atol=1.5 * 2**-15)
    assert [t["name"] for t in view["tracks"]] == ["Before", "After", "Removed"]
    assert max(view["tracks"][0]["peaks"]) == pytest.approx(np.abs(noisy).max(), abs=1e-4)


def test_the_first_view_is_a_recording_before_and_after(runs, pair, monkeypatch):
    first = runs.first_view(*pair)
    *_, last = runs.denoise(*pair)
    assert first[2] == last[2]
    tracks = [[file_at(t["url"]) for t in shown(outputs)[0]["tracks"]] for outputs in (first, last)]
    assert [path.read_bytes() for path in tracks[0]] == [path.read_bytes() for path in tracks[1]]
    assert runs.first_view(*pair) == first
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3000)
    assert all(file_at(t["url"]).exists() for t in shown(runs.first_view(*pair))[0]["tracks"])
    assert runs.first_view(*pair) != first, "made anew before its files go"


def test_denoise_scores_against_the_reference(runs, pair):
    *_, last = runs.denoise(*pair)
    after = file_at(shown(last)[0]["tracks"][1]["url"])
    expected = [metrics.score_files(pair[1], path) for path in (pair[0], after)]
    header, *rows = table(last[2])
    assert header == ["", "Before", "After"]
    assert [row[0] for row in rows] == ["PESQ-WB", "STOI", "ESTOI", "SI-SDR (dB)"]
    for row, name in zip(rows, ("pesq_wb", "stoi", "estoi", "si_sdr"), strict=True):
        assert [float(cell) for cell in row[1:]] == pytest.approx(
            [scores[name].value for scores in expected], abs=0.02
        )


def test_denoise_without_reference_gives_dnsmos(runs, pair):
    *_, last = runs.denoise(pair[0], strength=0.0)
    rows = {row[0]: row[1:] for row in table(last[2])}
    samples = soundfile.read(pair[0], dtype="float32")[0]
    expected = speechmos.dnsmos.run(samples, RATE)["ovrl_mos"]
    before, after = map(float, rows["DNSMOS, overall"])
    assert before == pytest.approx(expected, abs=0.006)
    assert after == pytest.approx(before, abs=0.02), "strength 0 leaves the recording as it is"


def test_pictures_show_what_was_removed(runs, tmp_path):
    """White noise, of which the model keeps little: the last picture is bright, and black at strength 0."""
    rng = np.random.default_rng(0)
    path = tmp_path / "noise.wav"
    soundfile.write(path, 0.1 * rng.standard_normal(RATE), RATE)
    *_, last = runs.denoise(str(path), str(path))
    panels = shown(last)[0]["panels"]
    assert [p["title"] for p in panels] == ["Before", "After", "Removed"]
    assert {p["top"] for p in panels} == {8.0}
    before, after, removed = (matplotlib.image.imread(file_at(p["url"]))[..., :3].mean() for p in panels)
    assert before > after + 0.1
    assert removed > 0.1
    *_, untouched = runs.denoise(str(path), str(path), strength=0.0)
    picture = matplotlib.image.imread(file_at(shown(untouched)[0]["panels"][2]["url"]))
    assert picture[..., :3].mean() < 0.02


def test_progress_grows(runs, pair):
    shares = [re.search(r"value='([\d.]+)'", status) for status, *_ in runs.denoise(*pair)]
    values = [float(share[1]) for share in shares if share]
    assert len(values) >= 4
    assert values == sorted(values)
    assert shares[-1] is None, "the last status has no bar"


@pytest.mark.parametrize(("kind", "wanted"), [("phones", "iy"), ("phones", "s p iy ch"), ("words", "hello")])
def test_generate_shows_every_step_and_plays_the_waveform(runs, kind, wanted):
    *moving, last = runs.generate(kind, wanted, 4, 5)
    chains = [view for outputs in moving for view in shown(outputs)]
    generator = Generator(runs.model, steps=4)
    states = 1 + generator.steps
    assert [len(c["energies"]) for c in chains] == list(range(1, states + 1))
    chain, player = shown(last)
    assert len(chain["images"]) == states
    assert len(set(chain["images"])) == states
    assert chain["energies"][-1] < chain["energies"][0]
    expected = generator.say(wanted, seed=5) if kind == "words" else generator(wanted, seed=5)
    played = soundfile.read(file_at(player["tracks"][0]["url"]), dtype="float32")[0]
    np.testing.assert_allclose(played, expected[0], atol=2e-4)


def test_a_word_that_is_not_in_the_dictionary_is_named_every_time(runs):
    for _ in range(2):
        *_, last = runs.generate("words", "blorft", 1)
        assert "&#x27;blorft&#x27; is not in the dictionary" in last[0]


def test_phones_are_those_of_the_library(runs, pair):
    *_, last = runs.classify(pair[1])
    (view,) = shown(last)
    samples, rate = soundfile.read(pair[1], dtype="float32")
    assert view["segments"] == [vars(s) for s in speechjem.classify(samples, rate)]
    picture = matplotlib.image.imread(file_at(view["posteriors"]["url"]))
    assert picture.shape[:2] == (40, 201)
    # In the middle of the longest sound, the brightest row is that of its phone.
    longest = max((s for s in view["segments"] if s["phone"] != "SIL"), key=lambda s: s["duration"])
    column = round(100 * (longest["start"] + longest["duration"] / 2))
    brightest = picture[:, column, :3].sum(axis=-1).argmax()
    assert view["posteriors"]["phones"][brightest] == longest["phone"]


def test_a_chain_that_nobody_watches_ends():
    steps = []

    def work(watch):
        for step in range(10_000):
            steps.append(step)
            watch(step, step)
            time.sleep(0.001)

    states = watched(work)
    assert [next(states) for _ in range(3)] == [(0, 0), (1, 1), (2, 2)]
    states.close()
    assert len(steps) < 10_000


def test_an_error_in_a_chain_reaches_the_run(runs):
    with pytest.raises(SpeechjemError, match="no phone 'xx'"):
        list(runs.generate("phones", "xx"))


def test_files_of_old_runs_go(runs, pair):
    *_, first = runs.classify(pair[1])
    old = file_at(shown(first)[0]["tracks"][0]["url"]).parent
    two_hours_ago = time.time() - 7200
    os.utime(old, (two_hours_ago, two_hours_ago))
    *_, second = runs.classify(pair[1])
    assert not old.exists()
    assert file_at(shown(second)[0]["tracks"][0]["url"]).exists()


def write(folder, name, samples, rate):
    soundfile.write(folder / name, samples, rate)
    return str(folder / name)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda runs, folder: runs.denoise(None), "Give a recording first"),
        (lambda runs, folder: runs.denoise(str(folder / "gone.wav")), "no longer there"),
        (lambda runs, folder: runs.classify(__file__), "Cannot read"),
        (
            lambda runs, folder: runs.denoise(write(folder, "a.wav", np.zeros(4000 * MAX_SECONDS + 1), 4000)),
            "too long",
        ),
        (
            lambda runs, folder: runs.denoise(
                write(folder, "a.wav", np.ones(8000), 8000), write(folder, "b.wav", np.ones(4000), 4000)
            ),
            "has 4000 Hz and 1 channel",
        ),
        (lambda runs, folder: runs.generate("words", "a" * (MAX_CHARACTERS + 1)), "at most"),
        (lambda runs, folder: runs.generate("phones", "aa", 101), "at most 100"),
        (lambda runs, folder: runs.generate("words", "кот"), "not of English letters"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_sentence(runs, tmp_path, run, message):
    with pytest.raises(SpeechjemError, match=message):
        list(run(runs, tmp_path))


# The server


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def client(model, folder) -> Iterator[httpx.Client]:
    """A client of the page's server."""
    listener = socket.create_server((server.HOST, 0))
    config = uvicorn.Config(server.create(model, folder), log_level="critical", timeout_graceful_shutdown=1)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    while not running.started:
        time.sleep(0.01)
    url = f"http://{server.HOST}:{listener.getsockname()[1]}"
    with httpx.Client(base_url=url, timeout=None, trust_env=False) as client:
        yield client
    running.should_exit = True
    thread.join()
    listener.close()


def upload(client, name, content):
    answer = client.post("/gradio_api/upload", files={"files": (name, content)})
    return {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}} if answer.is_success else answer


def start(client, run, *values):
    return client.post(f"/gradio_api/call/{run}", json={"data": values}).json()["event_id"]


def finish(client, run, event):
    """The kind and the data of a run's last event."""
    events = client.get(f"/gradio_api/call/{run}/{event}").text.strip().split("\n\n")
    kind, data = re.fullmatch(r"event: (.*)\ndata: (.*)", events[-1]).groups()
    return kind, json.loads(data)


def test_the_page_names_no_other_host(client):
    answer = client.get("/")
    assert answer.status_code == 200
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=[\"']?(?:https?:)?//", answer.text)
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "customElements.define" in answer.text


def test_an_upload_is_denoised_and_what_is_made_can_be_fetched(client, pair):
    noisy, clean = (upload(client, "a.wav", Path(path).read_bytes()) for path in pair)
    event = start(client, "denoise", noisy, clean, 1, "descent", None, 0)
    kind, outputs = finish(client, "denoise", event)
    assert kind == "complete"
    url = shown(outputs)[0]["tracks"][1]["url"]
    answer = client.get("/" + url)
    assert answer.headers["content-type"].startswith("audio/")
    assert soundfile.info(io.BytesIO(answer.content)).duration == 2.0


def test_a_bad_file_gives_a_sentence_that_does_not_say_where_it_lies(client, folder):
    event = start(client, "classify", upload(client, "notes.wav", b"dear diary"))
    kind, (status, view) = finish(client, "classify", event)
    assert kind == "complete"
    assert "Cannot read notes.wav as audio" in status
    assert 'role="alert"' in status.replace("'", '"')
    assert str(folder) not in status
    assert view == ""


def test_eight_users_at_once_are_answered_in_their_order(client):
    events = [start(client, "generate", "phones", "aa", 1, seed, None) for seed in range(8)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda event: finish(client, "generate", event), events))
    assert {kind for kind, _ in answers} == {"complete"}
    made = [file_at(shown(outputs)[1]["tracks"][0]["url"]) for _, outputs in answers]
    times = [path.stat().st_mtime_ns for path in made]
    assert times == sorted(times)
    assert len({path.read_bytes() for path in made}) == 8, "everyone gets the seed that was asked for"


@pytest.mark.parametrize("route", ["/gradio_api/file=", "/gradio_api/file/", "/file="])
def test_nothing_outside_the_folder_is_served(client, folder, route):
    secret = folder.parent / "secret.txt"
    secret.write_text("secret")
    made = folder / "runs"
    for path in (
        secret, __file__, "/etc/passwd", SAMPLES / "clean.flac", f"{made}/../../secret.txt", "../secret.txt",
        f"{made}/..%2F..%2Fsecret.txt", f"{made}/%2e%2e/%2e%2e/secret.txt", f"{made}%2F..%2F..%2Fsecret.txt",
        f"file://{secret}", made, Path(checkpoint.__file__),
    ):  # fmt: skip
        answer = client.get(f"{route}{path}")
        assert answer.status_code in (403, 404), path
        assert b"secret" not in answer.content.replace(b"secret.txt", b"")


@pytest.mark.parametrize(
    "path", ["file=http://127.0.0.1:1/x", "file=https://localhost/x", "proxy=http://a/x"]
)
def test_nothing_is_fetched_from_elsewhere(client, path):
    assert client.get(f"/gradio_api/{path}").status_code == 403


def test_a_run_takes_uploads_only(client):
    """A path of the server's own is neither heard nor copied to where it would be served."""
    mine = {"path": str(SAMPLES / "clean.flac"), "meta": {"_type": "gradio.FileData"}}
    assert finish(client, "classify", start(client, "classify", mine))[0] == "error"


def test_an_upload_beyond_the_limit_is_refused(client):
    assert upload(client, "a.wav", bytes(50 * 1024**2 + 1)).status_code == 413


def test_other_names_of_the_server_are_refused(client):
    """A site whose name was made to point here (DNS rebinding) must not reach the page."""
    assert client.get("/config", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/config", headers={"Host": "localhost:7860"}).status_code == 200


# The command


def test_a_port_that_is_taken_is_wrong_usage(monkeypatch, capsys):
    with socket.create_server((server.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(sys, "argv", ["speechjem", "demo", "--port", str(port)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    assert stop.value.code == 2
    assert f"Cannot listen on 127.0.0.1, port {port}" in capsys.readouterr().err


def test_without_gradio_the_user_is_told_what_to_install(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(SpeechjemError, match=r"pip install 'speechjem\[demo\]'"):
        server.create(model, tmp_path)
