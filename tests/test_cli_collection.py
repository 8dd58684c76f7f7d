"""The garbage collector during and after a start."""

from __future__ import annotations

import gc
import weakref

import pytest

from s2t2_cli.cli.collection import without_collection


@pytest.fixture(autouse=True)
def as_before() -> object:
    yield
    gc.unfreeze()
    gc.enable()


def test_nothing_is_collected_inside_and_what_came_later_is_afterwards() -> None:
    class Ring:
        def __init__(self) -> None:
            self.itself = self

    with without_collection():
        assert not gc.isenabled()
        gone = weakref.ref(Ring())
        [[] for _ in range(10 * gc.get_threshold()[0])]
        assert gone() is not None
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
    later = weakref.ref(Ring())
    gc.collect()
    assert later() is None


def test_the_collector_runs_again_after_an_error() -> None:
    with pytest.raises(ValueError, match="no model"), without_collection():
        raise ValueError("no model")
    assert gc.isenabled()
