"""Batches that other processes draw ahead."""

from __future__ import annotations

import os
import signal

import pytest
import torch

from speechjem.data.ahead import drawn_ahead
from speechjem.errors import InputError, SpeechjemError


class Numbers:
    """Batches that are their numbers, but for those that something happens to."""

    def __init__(self, **what: int):
        self.what = what

    def draw(self, number: int) -> torch.Tensor:
        if number == self.what.get("killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        if number == self.what.get("refused"):
            raise InputError(f"{number} cannot be read.")
        if number == self.what.get("broken"):
            raise RuntimeError("a fault of ours")
        return torch.tensor(number)


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_come_in_the_order_of_their_numbers(workers):
    drawn = drawn_ahead(Numbers(), range(3, 20, 2), workers, False)
    assert [int(number) for number in drawn] == list(range(3, 20, 2))


@pytest.mark.parametrize(
    ("what", "error", "words"),
    [
        ("killed", SpeechjemError, "fewer --workers"),
        ("refused", InputError, "2 cannot be read"),
        ("broken", RuntimeError, "a fault of ours"),
    ],
)
def test_what_happens_to_a_worker_is_told_as_what_it_is(what, error, words):
    with pytest.raises(error, match=words):
        list(drawn_ahead(Numbers(**{what: 2}), range(9), 1, False))
