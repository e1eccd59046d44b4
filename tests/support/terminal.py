"""A command at a terminal: what it shows is read as a person would, and keys are pressed."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import subprocess
import termios
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from tests.support.polling import aeventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

CTRL_C, CTRL_D = "\x03", "\x04"


class Terminal:
    """A running command and its terminal."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self._master = master
        self.shown = ""
        self._seen = 0

    def press(self, keys: str) -> None:
        """Type something."""
        os.write(self._master, keys.encode())

    async def shows(self, text: str) -> str:
        """Wait until a text is shown, after the one that was waited for before; what stood between."""

        def there() -> bool:
            assert text in self.shown[self._seen :], f"not shown: {text!r} in {self.shown[self._seen :]!r}"
            return True

        await aeventually(there)
        before, _, _ = self.shown[self._seen :].partition(text)
        self._seen += len(before) + len(text)
        return before

    async def ended(self, limit_s: float = 30) -> int:
        """The exit status, once it has ended."""
        return await asyncio.to_thread(self.process.wait, limit_s)

    def take(self) -> None:
        """Read what it has shown meanwhile."""
        with suppress(OSError):  # the command has ended
            self.shown += os.read(self._master, 65_536).decode().replace("\r\n", "\n")
            return
        asyncio.get_running_loop().remove_reader(self._master)


@asynccontextmanager
async def terminal(command: Sequence[str], env: Mapping[str, str], folder: Path) -> AsyncIterator[Terminal]:
    """Run a command at a terminal of 100 columns; it is killed at the end."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**env, "NO_COLOR": "1", "TERM": "dumb"},
        cwd=folder,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - else Ctrl-C is a key like any other
    )
    os.close(slave)
    made = Terminal(process, master)
    loop = asyncio.get_running_loop()
    loop.add_reader(master, made.take)
    try:
        yield made
    finally:
        loop.remove_reader(master)
        process.kill()
        process.wait()
        os.close(master)
