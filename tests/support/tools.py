"""Programs that check files for us."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tool(name: str, package: str) -> str:
    """Its path; without it the test is skipped on a laptop, and fails in CI.

    Args:
        package: that brings it.
    """
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    found = shutil.which(name, path=beside)
    if found is None and os.environ.get("CI"):
        pytest.fail(f"{name} is not installed, and in CI it must be: it comes with {package}", pytrace=False)
    if found is None:
        pytest.skip(f"{name} is not installed: it comes with {package}")
    return found


def refused(*command: str) -> str:
    """What a checker that is run in the checkout has to say; empty where it is content."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    return "" if done.returncode == 0 else done.stdout + done.stderr
