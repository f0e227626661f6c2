"""Proves that pages of a cache hold what was put there, whoever comes and goes, and leave no gap between them."""

from __future__ import annotations

import numpy as np
import pocket_tiny as tiny
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testtime.models.pocket.cache import BLOCK, Cache
from testtime.models.pocket.weights import Config, load

SLOTS = 5


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return load(tiny.write(tmp_path_factory.mktemp("model"))).config


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_every_slot_keeps_its_own_through_any_traffic(config: Config, data: st.DataObject) -> None:
    cache, wanted = Cache(config), dict[int, np.ndarray]()
    cache.reserve(2)
    cache.reserve(SLOTS)
    for step in range(data.draw(st.integers(1, 25))):
        _one_thing(cache, wanted, data, float(step + 1))
        assert sorted(cache.pages[cache.pages >= 0].tolist()) == list(range(cache.used))
        assert cache.used == sum(len(marks) for marks in wanted.values())
        for slot, marks in wanted.items():
            pages = cache.pages[slot, : len(marks)]
            assert cache.owners[pages].tolist() == [slot] * len(marks)
            assert cache.places[pages].tolist() == list(range(len(marks)))
            np.testing.assert_array_equal(cache.keys[0, pages, 0, 0, 0], marks)
            np.testing.assert_array_equal(cache.values[-1, pages, 0, -1, 0], marks)


def _one_thing(cache: Cache, wanted: dict[int, np.ndarray], data: st.DataObject, mark: float) -> None:
    """Writes, releases, moves, copies, or saves and restores; `wanted` is what each slot's blocks then hold."""
    slot, other = data.draw(st.permutations(range(SLOTS)))[:2]
    what = data.draw(st.sampled_from(["write", "release", "move", "copy", "save", "clear"]))
    if what == "write":
        blocks = data.draw(st.integers(1, 4))
        for block in range(blocks):
            cache.extend(np.array([slot]), np.array([block * BLOCK + 3]))
            page = cache.pages[slot, block]
            cache.keys[:, page], cache.values[:, page] = mark + block / 8, mark + block / 8
        wanted[slot] = np.concatenate([mark + np.arange(blocks) / 8, wanted.get(slot, np.zeros(0))[blocks:]])
    elif what == "release":
        cache.release(slot)
        wanted.pop(slot, None)
    elif what == "clear":
        cache.clear()
        wanted.clear()
    elif slot in wanted and what == "move":
        cache.move(slot, other)
        wanted[other] = wanted.pop(slot)
    elif slot in wanted:
        tokens = data.draw(st.integers(1, BLOCK * len(wanted[slot])))
        if what == "copy":
            cache.copy(slot, [other], tokens)
        else:
            cache.restore(other, cache.save(slot, tokens), tokens)
        blocks = -(-tokens // BLOCK)
        wanted[other] = np.concatenate([wanted[slot][:blocks], wanted.get(other, np.zeros(0))[blocks:]])


def test_a_position_beyond_the_next_page_gets_all_pages_before_it(config: Config) -> None:
    cache = Cache(config)
    cache.reserve(1)
    cache.extend(np.array([0]), np.array([2 * BLOCK]))
    assert cache.pages[0].tolist() == [0, 1, 2, -1]
