"""Which clips share a batch: a plan that is the same every time it is asked for."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2t2_cli.training.batches import BatchPart, plan_epoch
from s2t2_cli.training.randomness import derived_seed

lengths = st.lists(st.floats(0.03, 30), min_size=1, max_size=60)


def parts(plan: list[list[BatchPart]]) -> list[BatchPart]:
    return [part for update in plan for part in update]


@given(lengths=lengths, budget=st.floats(1, 60), per_update=st.integers(1, 5), seed=st.integers(0, 9))
def test_every_row_comes_once_and_batches_keep_to_the_budget(
    lengths: list[float], budget: float, per_update: int, seed: int
) -> None:
    plan = plan_epoch(lengths, budget=budget, per_update=per_update, seed=seed, epoch=0)
    assert sorted(row for part in parts(plan) for row in part.rows) == list(range(len(lengths)))
    for part in parts(plan):
        assert len(part.rows) == 1 or max(lengths[row] for row in part.rows) * len(part.rows) <= budget
    assert all(len(update) == per_update for update in plan[:-1])
    assert 1 <= len(plan[-1]) <= per_update
    assert [part.number for part in parts(plan)] == list(range(len(parts(plan))))


@given(lengths=lengths, seed=st.integers(0, 5), epoch=st.integers(0, 5))
def test_the_same_arguments_give_the_same_plan(lengths: list[float], seed: int, epoch: int) -> None:
    once, again = (plan_epoch(lengths, budget=40, per_update=2, seed=seed, epoch=epoch) for _ in range(2))
    assert once == again


def test_another_epoch_or_seed_gives_another_order() -> None:
    lengths = np.random.default_rng(0).uniform(1, 10, 200)
    plans = [
        plan_epoch(lengths, budget=30, per_update=1, seed=seed, epoch=epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))
    ]
    firsts = [[part.rows for part in parts(plan)] for plan in plans]
    assert firsts[0] != firsts[1]
    assert firsts[0] != firsts[2]


def test_little_of_a_batch_is_padding() -> None:
    lengths = np.random.default_rng(0).uniform(1, 15, 2000)
    plan = plan_epoch(lengths, budget=60, per_update=1, seed=0, epoch=0)
    padded = sum(max(lengths[list(part.rows)]) * len(part.rows) for part in parts(plan))
    assert padded < 1.08 * lengths.sum()


def test_weights_say_how_often_a_row_comes() -> None:
    weights = [0.0, 1.0, 2.0, 2.5]
    counts = Counter[int]()
    for epoch in range(400):
        plan = plan_epoch([1.0] * 4, budget=10, per_update=1, seed=0, epoch=epoch, weights=weights)
        rows = Counter(row for part in parts(plan) for row in part.rows)
        assert rows[0] == 0
        assert (rows[1], rows[2]) == (1, 2)
        assert rows[3] in (2, 3)
        counts += rows
    assert counts[3] / 400 == pytest.approx(2.5, abs=0.1)


def test_seeds_of_different_places_differ() -> None:
    seeds = {derived_seed(seed, epoch, number) for seed in range(5) for epoch in range(5) for number in range(5)}
    assert len(seeds) == 125
    assert all(0 <= seed < 2**63 for seed in seeds)
