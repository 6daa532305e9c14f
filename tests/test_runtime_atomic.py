"""Files that are whole or absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from speechjem.runtime.atomic import replace_file


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "file"
    path.write_text("old")

    def write(target: Path) -> None:
        target.write_text("ne")
        raise error

    with pytest.raises(type(error)):
        replace_file(path, write)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
