"""The study of stability, on scikit-learn's digits."""

from __future__ import annotations

import json
import subprocess
import sys

import yaml
from PIL import Image
from support import RECIPES

LOCAL = RECIPES / "stability" / "local"
ROWS = ("ce", "jem", "st-jem-pool", "st-jem-starts")
SMALL = {
    "data": {"name": "digits"},
    "network": {"depth": 10, "width": 1},
    "augment": {"flip": False, "crop": 0},
    "updates": 3,
    "batch": 8,
    "energy": {"chains": 4, "slots": 4, "langevin": {"steps": 1}},
}


def study(*words: object) -> str:
    command = [sys.executable, str(LOCAL / "study.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_row_that_is_there_is_not_run_again(tmp_path):
    conf, out = tmp_path / "small.yaml", tmp_path / "study.jsonl"
    conf.write_text(yaml.safe_dump(SMALL))
    words = [conf, "--images", tmp_path, "--seeds", 1, "--out", out]
    study(*words, "--rows", "ce")
    first = out.read_text()
    study(*words, "--rows", *ROWS, "--jobs", 2)
    assert out.read_text().startswith(first)
    runs = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(run["row"] for run in runs) == sorted(ROWS)
    for run in runs:  # chance is a tenth, for the classifier and for the judge
        assert run["diverged"] is None and run["max_logit"] > 0
        assert 0 <= run["judge"] <= 1 and run["judge_real"] > 0.5 and run["diversity"] > 0
    table = study("--table", out).splitlines()
    assert len(table) == 2 + len(ROWS)
    assert len({line.count("|") for line in table}) == 1


def test_a_rate_beyond_reason_is_counted_as_diverged_and_drawn(tmp_path):
    conf, out, picture = tmp_path / "small.yaml", tmp_path / "map.jsonl", tmp_path / "map.png"
    conf.write_text(yaml.safe_dump(SMALL | {"logit_limit": 1e-3}))
    study(conf, "--images", tmp_path, "--seeds", 1, "--out", out, "--map", "--jobs", 2)
    runs = [json.loads(line) for line in out.read_text().splitlines()]
    assert len({(run["row"], run["step_size"], run["learning_rate"]) for run in runs}) == len(runs) == 56
    assert all(run["diverged"] == 0 for run in runs)
    study("--picture", picture, out)
    with Image.open(picture) as image:
        assert image.size == (1080, 480)
