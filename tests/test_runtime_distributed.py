"""Training by real processes (torchrun): two learn the same as one, and outlive a killed one."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support import TINY, write_corpus

from speechjem.data.dataset import Batch, Corpus
from speechjem.errors import UsageError
from speechjem.runtime import distributed
from speechjem.training.settings import TrainConfig
from speechjem.training.speech import SpeechTrainer

# No negatives, for each process draws its own, and no draws of chance in the descent.
# All excerpts keep their labels, so that the mean of two means is the mean of all.
LABELLED = replace(TINY.augment, pauses=0.0, children=0.0, whispers=0.0)
PLAIN = replace(TINY, energy=replace(TINY.energy, weight=0.0), unconditioned=0.0, batch=2, augment=LABELLED)
UPDATES = 3

WORKER = """
import pickle, sys, torch
from speechjem.runtime import distributed
from speechjem.training.speech import SpeechTrainer
torch.set_num_threads(1)
config, corpus, device = pickle.load(open(sys.argv[1], "rb"))
device = distributed.own_device(device)
with distributed.together(device):
    trainer = SpeechTrainer(config, corpus, device=device)
    losses = [trainer.step()["loss"] for _ in range({updates})]
    torch.save((losses, trainer.model.state_dict()), f"{{sys.argv[1]}}.{{distributed.rank()}}")
"""


def torchrun(*words: object, processes: int = 2, restarts: int = 0) -> list[str]:
    """The command of processes on this machine."""
    options = ["--standalone", "--nproc-per-node", str(processes), "--max-restarts", str(restarts)]
    return [sys.executable, "-m", "torch.distributed.run", *options, *map(str, words)]


@pytest.fixture(scope="module")
def labelled(toy_corpus):
    """All speech with labels: a mean over labelled frames is then one of equal batches."""
    return replace(toy_corpus, unlabelled=[])


Trained = tuple[list[float], dict[str, torch.Tensor]]  # losses and weights of a process


def train_by(
    processes: int, config: TrainConfig, corpus: Corpus, device: torch.device, folder
) -> list[Trained]:
    (folder / "worker.py").write_text(WORKER.format(updates=UPDATES))
    with (folder / "job").open("wb") as file:
        pickle.dump((config, corpus, device), file)
    command = torchrun(folder / "worker.py", folder / "job", processes=processes)
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return [torch.load(folder / f"job.{rank}") for rank in range(processes)]


@pytest.fixture(scope="module")
def trained(labelled, tmp_path_factory) -> list[Trained]:
    return train_by(2, PLAIN, labelled, torch.device("cpu"), tmp_path_factory.mktemp("two"))


def test_one_process_of_torchrun_learns_what_one_learns_without(toy_corpus, device, tmp_path):
    config = replace(TINY, batch=2)
    ((losses, weights),) = train_by(1, config, toy_corpus, device, tmp_path)
    alone = SpeechTrainer(config, toy_corpus, device=device)
    assert losses == pytest.approx([alone.step()["loss"] for _ in range(UPDATES)], rel=1e-3)
    for name, expected in alone.model.state_dict().items():
        torch.testing.assert_close(weights[name], expected, rtol=1e-3, atol=1e-4)


def test_processes_without_a_gpu_each_are_told(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(torch.cuda.device_count() + 1))
    with pytest.raises(UsageError, match="as many as there are GPUs"):
        distributed.own_device(torch.device("cuda"))
    with pytest.raises(UsageError, match="pass --device cpu"):
        distributed.own_device(torch.device("mps"))
    assert distributed.own_device(torch.device("cpu")).type == "cpu"


class Doubled:
    """Batches that are two of the others side by side."""

    def __init__(self, batches):
        self.batches, self.length = batches, batches.length

    def draw(self, number: int) -> Batch:
        pair = [self.batches.draw(2 * number + k) for k in range(2)]
        return Batch(*(torch.cat([getattr(b, part) for b in pair]) for part in Batch._fields))


def test_two_processes_learn_what_one_learns_from_batches_of_double_size(labelled, trained):
    (first_losses, first), (second_losses, second) = trained
    alone = SpeechTrainer(PLAIN, labelled)
    alone.batches = Doubled(alone.batches)
    losses = [alone.step()["loss"] for _ in range(UPDATES)]
    means = [(a + b) / 2 for a, b in zip(first_losses, second_losses, strict=True)]
    assert means == pytest.approx(losses, rel=1e-3)
    assert first_losses != second_losses  # each had a batch of its own
    before = SpeechTrainer(PLAIN, labelled).model.state_dict()
    for name, weights in alone.model.state_dict().items():
        assert torch.equal(first[name], second[name])
        moved = (weights - before[name]).abs().max()
        torch.testing.assert_close(first[name], weights, rtol=0, atol=0.05 * moved.item() + 1e-5)


def settings(folder: Path, toy_corpus, **changed: object) -> Path:
    content = {
        "model": {"network": {"channels": 16, "hidden": 16, "dilations": [1, 2]}, "descent": {"steps": 2}},
        "data": {"labelled": str(write_corpus(folder, toy_corpus))},
        "energy": {"frames": 16, "chunks": 4, "chains": 3, "slots": 4, "langevin": {"steps": 1}},
        "batch": 2,
        "seconds": 0.4,
        "log_every": 1,
    }
    path = folder / "train.yaml"
    path.write_text(json.dumps(content | changed))  # which is YAML as well
    return path


def workers() -> list[int]:
    """Process numbers of the training that torchrun started."""
    listed = subprocess.run(["pgrep", "-f", "-x", ".* -m speechjem train .*"], capture_output=True, text=True)
    return [int(line) for line in listed.stdout.split()]


def same(a: object, b: object) -> bool:
    """Whether two states are the same to the last bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def test_a_killed_process_costs_the_updates_since_the_last_checkpoint_only(toy_corpus, tmp_path):
    config = settings(tmp_path, toy_corpus, updates=100, save_every=20)
    out, undisturbed = tmp_path / "out", tmp_path / "undisturbed"
    command = torchrun("-m", "speechjem", "train", config, "-o", out, "--device", "cpu", restarts=3)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as job:
        while not (out / "checkpoint.pt").exists():
            assert job.poll() is None
            time.sleep(0.01)
        children = [
            pid for pid in workers() if Path(f"/proc/{pid}/stat").read_text().split()[3] == str(job.pid)
        ]
        os.kill(children[-1], signal.SIGKILL)
        printed, said = job.communicate()
    assert job.returncode == 0, said
    assert "SIGKILL" in said or "-9" in said  # it was in the middle, and torchrun saw it
    assert set(printed.splitlines()) == {str(out / "model")}
    updates = [json.loads(line)["update"] for line in (out / "train.jsonl").read_text().splitlines()]
    assert updates == list(range(1, 101))

    command = torchrun("-m", "speechjem", "train", config, "-o", undisturbed, "--device", "cpu")
    assert subprocess.run(command, capture_output=True, env=environment).returncode == 0
    states = [torch.load(folder / "checkpoint.pt", weights_only=True) for folder in (out, undisturbed)]
    assert [(state["update"], len(state["processes"])) for state in states] == [(100, 2)] * 2
    assert same(*states)

    alone = subprocess.run(
        [sys.executable, "-m", "speechjem", "train", str(config), "-o", str(out)],
        capture_output=True,
        text=True,
    )
    assert alone.returncode == 2
    assert "one of 2 processes, not of 1" in alone.stderr
