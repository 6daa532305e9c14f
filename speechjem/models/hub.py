"""Models on the Hugging Face hub by name: org/name, or org/name@revision (a branch, a tag or a commit).

Downloads, the cache, tokens and the offline mode are those of huggingface_hub, and obey its variables
HF_HOME, HF_HUB_OFFLINE, HF_TOKEN and HF_ENDPOINT. No other files than `FILES` are ever fetched, so there is
nothing to unpickle.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import ModelError

FIRST_FILES = ["config.json", "README.md"]
WEIGHTS = "model.safetensors"
FILES = [*FIRST_FILES, WEIGHTS]
_NAME = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_name(text: str) -> bool:
    """Whether a text has the form of a name on the hub."""
    return _NAME.fullmatch(text) is not None


def download(name: str, check: Callable[[Path], object]) -> Path:
    """Folder of a model in huggingface_hub's cache, which is brought up to date if the hub can be reached.

    Args:
        name: as `is_name` wants it; without a revision, the newest commit of the branch main.
        check: is shown the folder when all but the weights are there, so that a foreign model is refused
            before it is downloaded.

    Raises:
        ModelError: if there is no such model or revision, or the hub cannot be reached and it is not in the
            cache, or huggingface_hub is not installed.
    """
    match = _NAME.fullmatch(name)
    assert match is not None
    repository, revision = match.groups()
    folder = _snapshot(name, repository, revision, FIRST_FILES)
    check(folder)
    # The folder is called like its commit: all files are of one.
    return _snapshot(name, repository, folder.name, FILES)


def stated_sha256(weights: Path) -> str | None:
    """The sha256 that the hub gave for a file in its cache: a link to a file of that name. None elsewhere."""
    name = weights.resolve().name
    return name if _SHA256.fullmatch(name) else None


def cached() -> Iterator[tuple[str, Path]]:
    """Name and folder of what the cache has with a config.json and weights; nothing is downloaded."""
    try:
        from huggingface_hub import scan_cache_dir
        from huggingface_hub.errors import CacheNotFound
    except ImportError:
        return
    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return
    for repository in sorted(repositories, key=lambda r: r.repo_id):
        for revision in sorted(repository.revisions, key=lambda r: r.commit_hash):
            if {"config.json", WEIGHTS} <= {file.file_name for file in revision.files}:
                ref = min(revision.refs, default=revision.commit_hash)
                yield f"{repository.repo_id}@{ref}", revision.snapshot_path


def _snapshot(name: str, repository: str, revision: str | None, files: list[str]) -> Path:
    try:
        from huggingface_hub import constants, errors, snapshot_download, utils
    except ImportError as error:
        raise ModelError(
            f"There is no folder {name}. If it is the name of a model on the Hugging Face hub, "
            "run: pip install 'speechjem[hub]'."
        ) from error
    if not sys.stderr.isatty():
        utils.disable_progress_bars()
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=files))
    except errors.GatedRepoError as error:
        raise ModelError(
            f"{name} asks for an agreement: accept it at {constants.ENDPOINT}/{repository}, and set HF_TOKEN."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"There is neither a folder nor, at {constants.ENDPOINT}, a model {repository}; check the name. "
            "A private one needs HF_TOKEN."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(
            f"{repository} has no revision {revision!r}; check it at {constants.ENDPOINT}/{repository}."
        ) from error
    except errors.LocalEntryNotFoundError as error:
        why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{constants.ENDPOINT} does not answer"
        raise ModelError(
            f"There is no folder {name}, and it is not in the cache of the hub ({constants.HF_HUB_CACHE}), "
            f"nor can it be fetched: {why}. Check the name, or get it once online."
        ) from error
    except Exception as error:  # whatever its HTTP library raises
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(
            f"Cannot get {name} from {constants.ENDPOINT} ({reason}); try again later."
        ) from error
