"""What operators read of a provider's last quarter of an hour, from the counts that scripts keep."""

from __future__ import annotations

from itertools import pairwise

import pytest

from understudy.state.operations import drain_ms
from understudy.state.stats import LAST_BUCKET, LAST_MS, MINUTES, bound_ms, percentile, stats_of

HOUR = {minute: dict[str, str]() for minute in range(100, 100 + MINUTES)}


def test_buckets_grow_by_a_fifth_from_ten_milliseconds_to_ten_minutes() -> None:
    bounds = [bound_ms(bucket) for bucket in range(LAST_BUCKET + 1)]
    assert (bounds[0], bounds[1], bounds[-1]) == (10, 12, LAST_MS)
    assert all(low < high <= low * 1.25 for low, high in pairwise(bounds))


@pytest.mark.parametrize(
    ("counts", "share", "bucket"),
    [
        ({}, 0.5, None),
        ({3: 1}, 0.5, 3),
        ({3: 1}, 0.95, 3),
        ({3: 1, 7: 1}, 0.5, 3),
        ({3: 50, 7: 51}, 0.5, 7),
        ({3: 95, 7: 5}, 0.95, 3),
        ({3: 94, 7: 6}, 0.95, 7),
        ({7: 6, 3: 94}, 0.95, 7),
    ],
)
def test_a_percentile_is_the_bound_of_the_bucket_that_holds_it(
    counts: dict[int, int], share: float, bucket: int | None
) -> None:
    assert percentile(counts, share) == (None if bucket is None else bound_ms(bucket))


def test_a_provider_without_calls_has_no_figures() -> None:
    stats = stats_of(["ollama"], HOUR)["ollama"]
    assert (stats.answered, stats.failed, stats.share, stats.success) == (0, 0, None, None)
    assert (stats.p50_ms, stats.p95_ms, stats.first_token_p50_ms, stats.first_token_p95_ms) == (None,) * 4
    assert [minute.at_ms for minute in stats.series] == [minute * 60_000 for minute in HOUR]


def test_shares_count_every_answer_and_success_every_attempt_of_the_provider() -> None:
    minutes = HOUR | {
        103: {"ollama:ok": "2", "ollama:failed": "1", "ollama:d:3": "2", "gone:ok": "1"},
        104: {"ollama:ok": "1", "openai:ok": "4", "ollama:d:9": "1", "openai:d:5": "4", "openai:t:2": "4"},
    }
    stats = stats_of(["ollama", "openai"], minutes)
    assert (stats["ollama"].share, stats["openai"].share) == (3 / 8, 4 / 8)
    assert (stats["ollama"].success, stats["openai"].success) == (3 / 4, 1.0)
    assert (stats["ollama"].p50_ms, stats["ollama"].p95_ms) == (bound_ms(3), bound_ms(9))
    assert (stats["openai"].first_token_p50_ms, stats["ollama"].first_token_p50_ms) == (bound_ms(2), None)
    assert [(m.answered, m.failed, m.p50_ms) for m in stats["ollama"].series[3:5]] == [
        (2, 1, bound_ms(3)),
        (1, 0, bound_ms(9)),
    ]


def test_a_provider_is_not_taken_for_one_whose_name_begins_alike() -> None:
    minutes = HOUR | {103: {"ollama:ok": "1", "ollama-2:ok": "5", "ollama-2:d:3": "5"}}
    stats = stats_of(["ollama", "ollama-2"], minutes)
    assert (stats["ollama"].answered, stats["ollama-2"].answered) == (1, 5)
    assert (stats["ollama"].p50_ms, stats["ollama-2"].p50_ms) == (None, bound_ms(3))


@pytest.mark.parametrize(
    ("depth", "concurrency", "p50_ms", "drains"),
    [
        (0, 0, None, 0),
        (0, 4, 100, 0),
        (1, 4, 100, 100),
        (4, 4, 100, 100),
        (5, 4, 100, 200),
        (10, 0, 100, None),
        (10, 4, None, None),
    ],
)
def test_a_queue_drains_in_waves_of_its_concurrency(
    depth: int, concurrency: int, p50_ms: int | None, drains: int | None
) -> None:
    assert drain_ms(depth, concurrency, p50_ms) == drains
