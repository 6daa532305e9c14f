"""Models from a hub: real processes with huggingface_hub, and a real server that speaks its protocol."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import pickle
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from speechjem.energy.descent import DescentConfig
from speechjem.energy.tdnn import NetworkConfig
from speechjem.models import checkpoint, hub
from speechjem.models.speech import ModelConfig, SpeechModel

ROOT = Path(__file__).parents[1]
CONFIG = ModelConfig(
    network=NetworkConfig(channels=8, hidden=8, dilations=(1,)), descent=DescentConfig(steps=1)
)
FETCH = "import sys; from speechjem.models import hub; print(hub.download(sys.argv[1], lambda folder: None))"


class Hub:
    """One model, tiny/jem, with two commits: what huggingface_hub asks of a hub, and no more.

    Weights are in large file storage, as on the hub: their ETag is their sha256.
    """

    OLD, NEW = "a" * 40, "b" * 40

    def __init__(self, folder: Path):
        self.commits = {
            commit: self._files(folder / commit, steps) for steps, commit in ((1, self.OLD), (2, self.NEW))
        }
        self.refs = {"main": self.NEW, "v1": self.OLD}
        self.damaged = False
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _files(self, folder: Path, steps: int) -> dict[str, bytes]:
        checkpoint.save(
            SpeechModel(ModelConfig(network=CONFIG.network, descent=DescentConfig(steps))), folder
        )
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        return files | {
            "README.md": b"---\nlicense: cc0-1.0\n---\n\n# jem\n\nA small\nmodel.\n\nMore.\n",
            "pytorch_model.bin": pickle.dumps("a trap"),
        }

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        self.asked.append(path)
        if match := re.fullmatch(r"/api/models/tiny/jem(?:/(revision|tree)/([^/]+))?", path):
            what, revision = match.groups()
            commit = self._commit(revision or "main")
            if commit is None:
                self._send(request, 404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            elif what == "tree":
                entries = [self._entry(name, content) for name, content in self.commits[commit].items()]
                self._send(request, 200, json.dumps(entries).encode(), {})
            else:
                siblings = [{"rfilename": name} for name in self.commits[commit]]
                info = {"id": "tiny/jem", "sha": commit, "siblings": siblings}
                self._send(request, 200, json.dumps(info).encode(), {})
        elif match := re.fullmatch(r"/tiny/jem/resolve/([^/]+)/(.+)", path):
            commit = self._commit(match[1])
            content = self.commits[commit][match[2]]
            etag = self._etag(match[2], content)
            if self.damaged and match[2].endswith(".safetensors"):
                content = content[:-1] + bytes([content[-1] ^ 1])
            size = str(len(content))
            self._send(
                request, 200, content, {"X-Repo-Commit": commit, "ETag": f'"{etag}"', "X-Linked-Size": size}
            )
        else:
            self._send(request, 404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _commit(self, revision: str) -> str | None:
        return self.refs.get(revision, revision if revision in self.commits else None)

    def _etag(self, name: str, content: bytes) -> str:
        if name.endswith((".safetensors", ".bin")):
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    def _entry(self, name: str, content: bytes) -> dict[str, object]:
        entry = {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
        if name.endswith((".safetensors", ".bin")):
            entry["lfs"] = {"oid": self._etag(name, content), "size": len(content), "pointerSize": 130}
        return entry

    def _send(
        self, request: http.server.BaseHTTPRequestHandler, code: int, body: bytes, headers: dict
    ) -> None:
        request.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body)


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    origin = Hub(tmp_path_factory.mktemp("origin"))
    yield origin
    origin.server.shutdown()
    origin.server.server_close()


@pytest.fixture
def online(origin, tmp_path):
    """A command in an empty folder, with a cache of its own and the hub above; gives the finished process."""
    origin.damaged = False
    origin.asked.clear()

    def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {
            "HF_HOME": str(tmp_path / "hf"), "HF_ENDPOINT": origin.url, "HF_HUB_DISABLE_XET": "1",
            "PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_TELEMETRY": "1", **environment,
        }  # fmt: skip
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        return subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env=kept | variables,
            capture_output=True,
            text=True,
        )

    return command


def commands(online, *lines: str) -> subprocess.CompletedProcess[str]:
    """Some commands `speechjem models ...` in one process, which ends at the first that fails."""
    code = (
        "import sys; from speechjem import cli\n"
        "for line in sys.argv[1:]:\n"
        "    sys.argv = ['speechjem', 'models', *line.split()]\n"
        "    try: cli.main()\n"
        "    except SystemExit as end:\n"
        "        if end.code: raise"
    )
    return online("-c", code, *lines)


def fetch(online, name: str, **environment: str) -> Path:
    process = online("-c", FETCH, name, **environment)
    assert process.returncode == 0, process.stderr
    return Path(process.stdout.strip())


def test_a_name_gives_three_files_and_never_a_pickle(online, origin):
    folder = fetch(online, "tiny/jem")
    assert sorted(path.name for path in folder.iterdir()) == sorted(hub.FILES)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: content for name, content in origin.commits[Hub.NEW].items() if name in hub.FILES
    }
    assert not any("pytorch_model" in path for path in origin.asked)
    assert checkpoint.load(folder).config.descent.steps == 2


@pytest.mark.parametrize("revision", ["v1", Hub.OLD])
def test_a_revision_is_pinned(online, revision):
    folder = fetch(online, f"tiny/jem@{revision}")
    assert checkpoint.load(folder).config.descent.steps == 1
    assert folder.name == Hub.OLD


def test_what_is_in_the_cache_needs_no_network(online, origin):
    folder = fetch(online, "tiny/jem@v1")
    origin.asked.clear()
    assert fetch(online, "tiny/jem@v1", HF_HUB_OFFLINE="1") == folder
    assert fetch(online, f"tiny/jem@{Hub.OLD}") == folder  # a commit never changes
    assert not any("resolve" in path for path in origin.asked)
    assert fetch(online, "tiny/jem@v1", HF_ENDPOINT="http://127.0.0.1:9") == folder  # nobody listens there


def test_the_command_line_takes_a_name(online):
    process = commands(online, "info tiny/jem@v1 --json", "verify tiny/jem@v1", "list --json")
    lines = process.stdout.splitlines()
    facts, rows = json.loads(lines[0]), list(map(json.loads, lines[-3:]))
    assert (facts["licence"], facts["card"], facts["descent"]) == ("cc0-1.0", "A small model.", {"steps": 1})
    assert "as the hub states" in process.stdout
    assert [row["name"] for row in rows] == ["base", "stream", "tiny/jem@v1"]
    assert process.stderr == ""


def test_damaged_weights_are_refused_until_they_are_fetched_again(online, origin):
    origin.damaged = True
    process = commands(online, "verify tiny/jem")
    assert process.returncode == 1
    assert process.stderr.startswith("speechjem: ")
    assert "but the hub states" in process.stderr or "but config.json states" in process.stderr
    origin.damaged = False
    Path(re.search(r"delete (\S+),", process.stderr)[1]).unlink()
    sha256, by = checkpoint.check_sha256(fetch(online, "tiny/jem"))
    assert (sha256, by) == (hashlib.sha256(origin.commits[Hub.NEW][hub.WEIGHTS]).hexdigest(), "the hub")


@pytest.mark.parametrize(
    ("name", "environment", "words"),
    [
        ("tiny/nothing", {}, ["neither a folder", "tiny/nothing"]),
        ("tiny/jem@v9", {}, ["no revision 'v9'"]),
        ("tiny/jem", {"HF_HUB_OFFLINE": "1"}, ["not in the cache", "HF_HUB_OFFLINE is set"]),
        ("tiny/jem", {"HF_ENDPOINT": "http://127.0.0.1:9"}, ["http://127.0.0.1:9 does not answer"]),
    ],
)
def test_what_cannot_be_had_is_said_in_a_sentence(online, name, environment, words):
    process = online("-c", FETCH, name, **environment)
    message = process.stderr.strip().splitlines()[-1]
    assert message.startswith("speechjem.errors.ModelError: ")
    assert all(word in message for word in words), message


def test_without_the_extra_the_sentence_names_it(online):
    block = "import sys; sys.modules['huggingface_hub'] = None; "
    process = online("-c", block + FETCH, "tiny/jem")
    assert "pip install 'speechjem[hub]'" in process.stderr.splitlines()[-1]


def test_a_foreign_model_is_refused_before_its_weights_are_fetched(online, origin, monkeypatch):
    foreign = origin.commits[Hub.OLD] | {"config.json": b'{"model_type": "bert"}'}
    monkeypatch.setitem(origin.commits, Hub.OLD, foreign)
    process = commands(online, "info tiny/jem@v1")
    assert process.returncode == 1
    assert checkpoint.FORMAT in process.stderr
    assert not any(path.endswith("safetensors") for path in origin.asked)


def test_a_folder_goes_before_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint.save(SpeechModel(CONFIG), tmp_path / "tiny" / "jem")
    assert checkpoint.load("tiny/jem").config == CONFIG
    checkpoint.save(SpeechModel(CONFIG), tmp_path / "base")
    assert checkpoint.load("base").config == CONFIG


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("org/name", True), ("org/name@v1.0", True), ("org/name@refs/pr/1", True), ("name", False),
        ("../name", False), ("/org/name", False), ("a/b/c", False), ("org/name@", False), ("org/", False),
    ],
)  # fmt: skip
def test_names(text, is_one):
    assert hub.is_name(text) == is_one
