"""The benchmark of streams, small: it runs, and what it says adds up. How fast they are is for a quiet machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def measured(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.stream", "--streams", "5", "--seconds", "1", "--lengths", "1"]
    return subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)


@pytest.mark.timeout(120)
def test_a_small_run_finds_every_stream_whole_and_says_what_it_measured() -> None:
    done = measured("--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["whole"] == {"direct": 10, "queued": 10}
    assert said["load"]["measured"] == 5
    assert said["held"]["all whole"]
    assert set(said["cores"]) == {"worker", "client", "Redis", "stand-in"}
    assert said["first_token_ms"]["p50"]["queued"] > 0
