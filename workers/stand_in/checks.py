"""What a value of a fate may be: each check gives the value in its own type, or says what is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR_MS: Final = 3_600_000


def flag(value: object) -> bool:
    """A switch, also as text such as `yes`."""
    known = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 (one error for all checks)
    return value


def whole(low: int, high: int) -> Callable[[object], int]:
    """A whole number within limits, also as text."""

    def check(value: object) -> int:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(high)):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return check


def number(low: float, high: float) -> Callable[[object], float]:
    """A number within limits, also as text."""

    def check(value: object) -> float:
        try:
            number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
        except (ValueError, OverflowError):
            number = None
        if number is None or not low <= number <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}")
        return number

    return check


def text(value: object) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError("must be a text that is not empty")
    return value


def latency(value: object) -> int | tuple[int, int]:
    """Milliseconds, or a range of them such as `100-300`."""
    check = whole(0, HOUR_MS)
    try:
        if isinstance(value, str) and "-" in value:
            value = value.split("-")
        if not isinstance(value, list | tuple):
            return check(value)
        low, high = (check(part) for part in value)
    except ValueError:
        low, high = 1, 0
    if low > high:
        raise ValueError(f"must be milliseconds from 0 to {HOUR_MS} or a range such as 100-300")
    return low, high


def one_of(*words: str) -> Callable[[object], str]:
    """One of these words."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return value

    return check
