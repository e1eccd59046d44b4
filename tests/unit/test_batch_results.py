"""What an output file comes to: its figures, its report, and what changed against another."""

from __future__ import annotations

import gzip
import json
import re
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from bot_client.batch.difference import Change, Example, difference_of
from bot_client.batch.figures import MOST_MARKS, Course, Figures, Histogram, figures_of
from bot_client.batch.report import page_of, write_report
from bot_client.batch.verdict import Verdict
from bot_client.batch.verdict_lines import rows_of
from understudy.contracts.moderation import ModerationResult
from understudy.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def row(number: int, verdict: str = "none", **more: Any) -> dict[str, Any]:
    given = {
        "id": number, "verdict": verdict, "violation": "spam" if verdict == "delete" else None, "provider": "ollama",
        "model": "m", "attempts": 1, "cost_microusd": 0, "ms": 200, "source": "asked", "reason": "r",
        "at": f"2026-11-23T01:{number // 60 % 60:02}:{number % 60:02}.000+00:00",
    }  # fmt: skip
    return given | more


def failed(number: int, cause: str) -> dict[str, Any]:
    given = row(number, provider=None, model=None, error={"cause": cause, "detail": "It failed."})
    del given["verdict"], given["reason"]
    return given


def written(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in rows), "utf-8")
    return path


def test_the_lines_that_a_job_writes_are_the_rows_that_are_read(tmp_path: Path) -> None:
    result = ModerationResult(helpful=True, violation=None, quality_score=7, action="none", reason="Fine.")  # type: ignore[arg-type]
    verdicts = [Verdict(id=1, result=result, provider="p", model="m", ms=5), Verdict(id="b", error="deadline")]
    path = tmp_path / "out.jsonl"
    path.write_text("".join(verdict.line() + "\n" for verdict in verdicts), "utf-8")
    figures = figures_of(rows_of(path))
    assert (figures.rows, figures.verdicts, figures.errors) == (2, {"none": 1}, {"deadline": 1})
    assert figures.first_s is not None


def test_figures_count_verdicts_errors_sources_and_money_by_who_answered() -> None:
    rows = [row(1), row(2, "delete", attempts=2, cost_microusd=50, provider="openai", model="gpt")]
    figures = figures_of([*rows, row(3, source="same_text", ms=0), failed(4, "no_provider")])
    assert (figures.rows, figures.again, figures.cost_microusd) == (4, 1, 50)
    assert figures.verdicts == {"none": 2, "delete": 1}
    assert figures.violations == {"spam": 1}
    assert figures.errors == {"no_provider": 1}
    assert figures.sources == {"asked": 2, "same_text": 1}
    assert figures.answerers["ollama", "m"].verdicts == {"none": 2}
    assert figures.answerers["ollama", "m"].durations.buckets.total() == 1
    assert figures.answerers["openai", "gpt"].cost_microusd == 50


@pytest.mark.parametrize(("share", "expected"), [(0.5, 500), (0.95, 950), (1.0, 1_000)])
def test_a_histogram_gives_quantiles_within_its_bucket(share: float, expected: float) -> None:
    histogram = Histogram()
    for ms in range(1, 1_001):
        histogram.add(ms)
    assert histogram.quantile(share) == pytest.approx(expected, rel=0.07)
    assert Histogram().quantile(share) is None


@pytest.mark.parametrize("seconds", [1, 100, 86_400, 30 * 86_400])
def test_a_course_of_any_length_has_a_bounded_number_of_spans_and_loses_nothing(seconds: int) -> None:
    course = Course()
    for i in range(1_000):
        course.add(1_800_000_000 + seconds * i / 999, "ollama")
    assert len(course.filled()) <= MOST_MARKS
    assert sum(counts["ollama"] for _, counts in course.filled()) == 1_000


def test_the_memory_of_figures_does_not_grow_with_the_rows() -> None:
    def many(count: int) -> Iterator[dict[str, Any]]:
        yield from (row(i, model=f"m{i}", provider=f"p{i}", violation=f"v{i}", ms=i) for i in range(count))

    def used(count: int) -> int:
        tracemalloc.start()
        figures = figures_of(many(count))
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert figures.rows == count
        return size

    assert used(20_000) < used(2_000) + 200_000


def test_a_report_holds_all_figures_and_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    rows = [*(row(i, "delete" if i % 5 == 0 else "none") for i in range(200)), failed(200, "deadline")]
    rows += [row(201, provider="openai", model="gpt", cost_microusd=1_230_000, ms=900)]
    page = tmp_path / "report.html"
    write_report(written(tmp_path / "out.jsonl", rows), page)
    text = page.read_text("utf-8")
    for part in ("<b>202</b>", "verdict delete", "deadline", "gpt", "$1.23", "Latency", "Providers over time"):
        assert part in text
    assert text.count('class="plotly-graph-div"') == 4
    without_scripts = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert "http://" not in without_scripts
    assert "https://" not in without_scripts
    assert not re.search(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=", text.replace("plotly.js", ""))
    assert "default-src 'none'" in text


def test_an_empty_output_has_a_report_too() -> None:
    assert "<b>0</b>" in page_of(Figures(), "empty")


def test_names_in_a_report_are_text_and_never_markup() -> None:
    evil = "</script><script>alert(1)</script>"
    page = page_of(figures_of([row(1, provider=evil, model=evil, violation=evil), failed(2, evil)]), evil)
    assert evil not in page
    assert "alert(1)</script>" not in page


def test_a_report_without_plotly_names_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(InvalidRequest, match=r"understudy\[ops\]"):
        write_report(written(tmp_path / "out.jsonl", [row(1)]), tmp_path / "page.html")


def test_what_changed_is_counted_by_old_and_new_verdict_with_examples(tmp_path: Path) -> None:
    old = [row(1), row(2), row(3), row(4, "delete"), failed(5, "deadline"), row(6), row(7)]
    new = [row(7), row(4, "delete"), row(3, "delete", reason="Sells."), row(2, "delete"), row(1), row(5), row(8)]
    found = difference_of(written(tmp_path / "old", old), written(tmp_path / "new", new), examples=1)
    assert found.changes == [
        Change("none", "delete", 2, (Example("2", "r", "r"),)),
        Change("error", "none", 1, (Example("5", "It failed.", "r"),)),
        Change("none", "none", 2),
        Change("delete", "delete", 1),
    ]
    assert (found.compared, found.changed, found.only_old, found.only_new) == (6, 3, 1, 1)


def test_an_id_is_the_same_as_a_number_and_as_text(tmp_path: Path) -> None:
    found = difference_of(written(tmp_path / "old", [row(1)]), written(tmp_path / "new", [row(1, id="1")]))
    assert (found.compared, found.changed) == (1, 0)


def test_a_packed_output_is_read_and_half_a_line_at_its_end_is_left_out(tmp_path: Path) -> None:
    packed, torn = tmp_path / "out.jsonl.gz", tmp_path / "torn.jsonl"
    packed.write_bytes(gzip.compress(json.dumps(row(1)).encode() + b"\n"))
    torn.write_text(json.dumps(row(1)) + '\n{"id": 2, "ver', "utf-8")
    assert [each["id"] for each in rows_of(packed)] == [1]
    assert [each["id"] for each in rows_of(torn)] == [1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"id": 1, "verdict": "none"}\nnonsense\n', "line 2: it is not a row"),
        (b"[]\n", "line 1: it is not a row"),
        (b"\x1f\x8bnonsense", "cannot be read"),
        (None, "cannot be read: No such file"),
    ],
)
def test_what_is_no_output_of_a_job_is_named_with_its_line(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "out.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidRequest, match=words):
        list(rows_of(path))
