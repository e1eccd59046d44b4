"""The secrets of the compose file, as its own script makes them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "secrets.sh"


def make_secrets(folder: Path, *arguments: str) -> Path:
    """Run a copy of the script in a folder; where the secrets are then."""
    copy = folder / SCRIPT.name
    shutil.copy(SCRIPT, copy)
    subprocess.run(["sh", str(copy), *arguments], check=True, capture_output=True, text=True)
    return folder / "secrets"
