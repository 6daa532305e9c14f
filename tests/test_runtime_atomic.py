"""Files that are whole or absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from speechjem.errors import InputError
from speechjem.runtime.atomic import check_new, replace_file


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


def test_a_file_that_exists_is_replaced_by_force_only(tmp_path):
    path = tmp_path / "file"
    check_new(path, force=False)
    path.touch()
    check_new(path, force=True)
    with pytest.raises(InputError, match="file exists; pass --force"):
        check_new(path, force=False)
