"""Regrouping into blocks: nothing is lost, and every block has its context."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechjem.audio import blocks
from speechjem.audio.blocks import Blocks, Fifo

HOP = 4


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "FRAMES", 5)


def regroup(sizes: list[int], context: int) -> list[blocks.Block]:
    """Blocks of the ramp 0, 1, 2, ... that comes in chunks of these sizes."""
    regrouper, found, start = Blocks(1, HOP, context), [], 0
    for size in sizes:
        found += regrouper.push(np.arange(start, start + size)[None])
        start += size
    return [*found, *regrouper.flush()]


@given(st.lists(st.integers(0, 70), max_size=8), st.integers(0, 12))
def test_the_blocks_are_the_recording(sizes: list[int], context: int) -> None:
    inside = [b.samples[0, b.skip : b.skip + b.size] for b in regroup(sizes, context)]
    np.testing.assert_array_equal(np.concatenate([[], *inside]), np.arange(sum(sizes)))


@given(st.lists(st.integers(0, 70), max_size=8), st.integers(0, 12))
def test_every_block_has_its_context_as_far_as_there_is_any(sizes: list[int], context: int) -> None:
    total = sum(sizes)
    for block in regroup(sizes, context):
        start = block.samples[0, block.skip]
        end = start + block.size
        assert start % HOP == 0
        assert block.samples[0, 0] == max(0, start - context * HOP)
        assert block.samples[0, -1] == min(total, end + context * HOP) - 1
        assert block.size == min(5 * HOP, total - start)
        assert block.last == (end == total)


@given(st.lists(st.integers(0, 70), max_size=8), st.integers(0, 12))
def test_the_chunks_do_not_matter(sizes: list[int], context: int) -> None:
    for one, other in zip(regroup(sizes, context), regroup([sum(sizes)], context), strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)


def test_no_more_is_kept_than_a_block_and_its_context() -> None:
    regrouper = Blocks(1, HOP, 3)
    for _ in range(100):
        list(regrouper.push(np.zeros((1, 7))))
        assert regrouper._buffer.length <= (5 + 2 * 3) * HOP + 7


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 30)), max_size=20))
def test_a_queue_gives_back_in_order(moves: list[tuple[int, int]]) -> None:
    queue, pushed, popped = Fifo(2), 0, []
    for size, wanted in moves:
        queue.push(np.tile(np.arange(pushed, pushed + size), (2, 1)))
        pushed += size
        popped += queue.pop(wanted)[1].tolist()
        assert queue.length == pushed - len(popped)
    assert popped == list(range(len(popped)))
