"""The folder for data and logs of a stack, which belongs to one stack at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from understudy.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

LOCK = "lock"
THROWAWAY = "throwaway-"

TRIES = 5
"""Another stack that clears up may take a folder away in the moment between its making and its locking."""


class StateFolder:
    """A folder under lock and key; the lock goes with the process that holds it, however that ends.

    Args:
        path: made when missing.
        throwaway: removed at the end, with everything in it.
    """

    def __init__(self, path: Path, *, throwaway: bool = False) -> None:
        self.path = path.absolute()
        self._throwaway = throwaway
        self._lock: int | None = None

    @classmethod
    def throwaway(cls, parent: Path) -> Self:
        """A new one within `parent`; what others left there whose process was killed is removed first."""
        for old in parent.glob(f"{THROWAWAY}*"):
            lock = _lock(old)
            if lock is not None:
                shutil.rmtree(old, ignore_errors=True)
                os.close(lock)
        return cls(parent / f"{THROWAWAY}{os.getpid()}", throwaway=True)

    def take(self) -> Self:
        """Make it and lock it.

        Raises:
            SettingsError: another stack has it, or it cannot be written.
        """
        for last in [False] * (TRIES - 1) + [True]:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                self._lock = _lock(self.path)
            except FileNotFoundError:
                if last:
                    raise SettingsError(f"The folder {self.path} vanishes as soon as it is made.") from None
            except OSError as error:
                raise SettingsError(f"The folder {self.path} cannot be used: {error.strerror}.") from None
            if self._lock is not None:
                return self
        raise SettingsError(f"Another stack is running with its state in {self.path}: end that one first.")

    def give_back(self) -> None:
        """Unlock it, and remove what is to be thrown away."""
        if self._lock is None:
            return
        if self._throwaway:
            shutil.rmtree(self.path, ignore_errors=True)
            with suppress(OSError):  # others have theirs beside it
                self.path.parent.rmdir()
        os.close(self._lock)
        self._lock = None


def _lock(folder: Path) -> int | None:
    """Lock a folder's lock file; None where another process has it or the folder is gone."""
    try:
        lock = os.open(folder / LOCK, os.O_WRONLY | os.O_CREAT, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    if os.fstat(lock).st_nlink:
        return lock
    # Whoever had it has removed it, with the folder.
    os.close(lock)
    return None
