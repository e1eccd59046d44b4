"""`python -m benchmarks.capacity`, small."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.snippets import ROOT


@pytest.mark.timeout(120)
def test_it_says_what_a_call_costs() -> None:
    command = [sys.executable, "-m", "benchmarks.capacity", "--calls", "30", "--window", "5", "--latency-ms", "10"]
    done = subprocess.run([*command, "--idle-s", "1"], cwd=ROOT, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout)
    assert figures["answered"].startswith("30 of 30, 5 at once")
    assert set(figures["ms_of_processor_a_call"]) == {"worker", "client", "Redis", "stand-in"}
    assert figures["redis_commands_a_call"] > 10
    assert figures["record_bytes"] > 500
