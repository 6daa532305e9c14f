"""Steps that a cluster runs, handed over to stand-ins for qsub, sbatch and srun."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

UTILS = Path(__file__).parents[1] / "recipes" / "utils"

# Waits for the job, as -sync y and --wait do, and ends as it ended.
SUBMIT = """#!/bin/bash
printf '%s\\n' "$@" > "$(dirname "$0")/words"
echo "Your job 1 has been submitted"
while [ $# -gt 1 ]; do
    case $1 in -o | --output) output=$2 ;; esac
    shift
done
/bin/bash "$1" > "$output" 2>&1 || { code=$?; echo "Job 1 exited with exit code $code."; exit $code; }
"""
WAITS = {"queue": ("qsub", ["-sync", "y"]), "slurm": ("sbatch", ["--wait"])}


@pytest.fixture(params=WAITS)
def cluster(request, tmp_path):
    """Runs a step by queue.sh or slurm.sh; bin/words has what the submitting command was given."""
    command, waits = WAITS[request.param]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / command).write_text(SUBMIT)
    (tmp_path / "bin" / command).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        finished = subprocess.run(
            [UTILS / f"{request.param}.sh", *map(str, words)],
            capture_output=True, text=True, env=environment, cwd=tmp_path,
        )  # fmt: skip
        if (tmp_path / "bin/words").exists():
            given = (tmp_path / "bin/words").read_text().splitlines()
            assert any(given[place : place + len(waits)] == waits for place in range(len(given)))
        return finished

    return run


def test_a_step_gets_its_words_as_they_are_and_the_log_is_that_of_run_sh(cluster, tmp_path):
    finished = cluster("-l", "h_vmem=8G", "--", "logs/a b.log", "printf", "%s\n", "it's", "a  b", "$HOME *")
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
    log = (tmp_path / "logs/a b.log").read_text()
    assert log.splitlines()[-3:] == ["it's", "a  b", "$HOME *"]
    assert log.startswith("# printf ")
    given = (tmp_path / "bin/words").read_text().splitlines()
    assert given[given.index("-l") + 1] == "h_vmem=8G"


def test_a_step_that_fails_has_its_exit_code_and_shows_the_end_of_its_log(cluster):
    finished = cluster("--", "a.log", "bash", "-c", "echo why; exit 7")
    assert finished.returncode == 7
    assert "Job 1 exited with exit code 7." in finished.stderr
    assert finished.stderr.endswith("why\n")


def test_a_cluster_that_takes_no_job_is_a_failure(cluster, tmp_path):
    for command in (tmp_path / "bin").iterdir():
        command.write_text("#!/bin/bash\necho 'Unable to run job: unknown queue' >&2\nexit 1\n")
    finished = cluster("--", "a.log", "true")
    assert finished.returncode == 1
    assert "unknown queue" in finished.stderr


def test_a_wrong_call_shows_the_usage(cluster):
    finished = cluster("a.log", "true")
    assert finished.returncode == 2
    assert "Usage: utils/" in finished.stderr


def test_torchrun_meets_on_the_first_node_of_a_slurm_job(tmp_path):
    (tmp_path / "scontrol").write_text("#!/bin/bash\n[ $3 = 'n[3-4]' ] && echo n3 && sleep 0.1 && echo n4\n")
    (tmp_path / "srun").write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    for command in tmp_path.iterdir():
        command.chmod(0o755)
    job = {"SLURM_JOB_NODELIST": "n[3-4]", "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_ID": "17"}
    finished = subprocess.run(
        [UTILS / "slurm_torchrun.sh", "--nproc-per-node", "8", "-m", "speechjem", "train"],
        capture_output=True, text=True, env=os.environ | job | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip
    words = finished.stdout.split()
    assert words[:2] == ["--ntasks-per-node=1", "torchrun"]
    assert words[words.index("--rdzv-endpoint") + 1] == "n3:29400"
    assert words[words.index("--nnodes") + 1] == "2"
    assert words[-5:] == ["--nproc-per-node", "8", "-m", "speechjem", "train"]
