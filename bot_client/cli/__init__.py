"""The command line `understudy`: ask, look, steer, check. One noun a file; `root.py` puts them together."""

from __future__ import annotations

from bot_client.cli.root import main

__all__ = ["main"]
