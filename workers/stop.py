"""The wish that a process in the foreground ends."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

READ_BYTES = 4096


class Stop:
    """Whether somebody wants this process to end, and whether they have lost patience.

    Plain flags that are polled: a handler that took a lock could meet the main thread holding it.
    """

    def __init__(self) -> None:
        self.asked = False
        self.hurry = False

    def heed_signals(self) -> None:
        """From now on SIGINT, SIGTERM and SIGHUP ask; a second SIGINT means hurry."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup the end of the terminal is no reason to end.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)

    def heed_stdin(self) -> None:
        """From now on the end of standard input asks: whoever held its other end is gone."""
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self.hurry = self.hurry or (self.asked and number == signal.SIGINT)
        self.asked = True

    def _read(self) -> None:
        # By descriptor: a buffered reader's lock, held at the interpreter's end, is a fatal error.
        try:
            while os.read(0, READ_BYTES):
                pass
        except OSError:
            pass
        self.asked = True
