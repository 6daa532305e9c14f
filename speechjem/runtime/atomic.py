"""Files that are whole or absent."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Write beside, then rename, so that a reader never sees half a file.

    Args:
        path: of the file, which is written over.
        write: writes the file at a path that it is given.

    Raises:
        OSError: as `write`, naming the file.
    """
    partial = path.with_name(f".{uuid.uuid4().hex}.partial")
    try:
        write(partial)
        os.replace(partial, path)
    except OSError as error:
        if error.errno is not None:
            error.filename = str(path)  # that of a write has none
        raise
    finally:
        partial.unlink(missing_ok=True)
