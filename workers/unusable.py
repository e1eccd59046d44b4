"""What the reading of a reply may say instead of a result."""

from __future__ import annotations

from typing import Literal

UnusableRow = Literal["empty", "not_json", "wrong_schema", "token_limit"]
RefusedRow = Literal["refusal", "content_filter"]


class Unusable(Exception):
    """The provider answered, but not with a result.

    Args:
        row: the name of a row of the failure table.
        fault: one sentence that says what is wrong; it is quoted to the model and logged, so it repeats nothing of
            what a user or the model wrote.
    """

    def __init__(self, row: UnusableRow, fault: str) -> None:
        super().__init__(row, fault)
        self.row: UnusableRow = row
        self.fault = fault

    def __str__(self) -> str:
        return f"{self.row}: {self.fault}"


class Refused(Exception):
    """The model or its provider's content filter declined; no other provider is asked.

    Args:
        row: the name of a row of the failure table.
        fault: one sentence that says who declined; it repeats nothing of what anyone wrote.
    """

    def __init__(self, row: RefusedRow, fault: str) -> None:
        super().__init__(row, fault)
        self.row: RefusedRow = row
        self.fault = fault

    def __str__(self) -> str:
        return f"{self.row}: {self.fault}"
