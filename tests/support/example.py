"""An example as its reader runs it: `python examples/<name>.py`, in a folder of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.support.polling import eventually
from understudy.settings import Settings
from workers.leash import LeashedProcess

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 120.0
"""Importing a platform's library takes seconds of the machine's time."""


class Example:
    """One run of it.

    Args:
        folder: where it runs and what it prints is kept.
        name: of its file, and its arguments.
        environment: its settings.
    """

    def __init__(self, folder: Path, name: str, *arguments: str, environment: Mapping[str, str]) -> None:
        known = {field.upper() for field in Settings.model_fields} | {"TELEGRAM_BOT_TOKEN", "TELEGRAM_API_URL"}
        kept = {key: value for key, value in os.environ.items() if key.upper() not in known}
        self._env = {**kept, **environment, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self._command = [sys.executable, str(ROOT / "examples" / name), *arguments]
        self._folder = folder
        self._log = folder / f"{name}.log"

    def __enter__(self) -> Self:
        with self._log.open("wb") as output:
            self.process = LeashedProcess(
                ["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(self._folder), *self._command],
                env=self._env,
                output=output.fileno(),
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        if kind:
            print(self.said)

    @property
    def said(self) -> str:
        """All that it printed so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def says(self, text: str) -> str:
        """Wait until it has printed this; all that it printed."""

        def said() -> str:
            assert self.process.alive, f"it has ended:\n{self.said[-2000:]}"
            assert text in self.said, f"it has not said {text!r}:\n{self.said[-2000:]}"
            return self.said

        return eventually(said, limit_s=LIMIT_S)

    def exit_code(self) -> int:
        """Wait until it has ended by itself."""
        eventually(lambda: not self.process.alive, limit_s=LIMIT_S)
        code = self.process.exit_code
        assert code is not None
        return code
