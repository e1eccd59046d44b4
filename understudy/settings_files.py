"""Settings whose values stand in files, as container engines hand secrets over: `NAME_FILE` names that of `NAME`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from understudy.errors import SettingsError
from understudy.urls import with_password

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo

    from understudy.settings import Settings

MAX_BYTES = 65_536
"""More than any list of providers; a path given by mistake is not read into memory whole."""


class SettingsFiles(PydanticBaseSettingsSource):
    """The last place that is looked at: what is set by an argument, the environment or `.env` wins.

    Args:
        variables: those that may name files, by their names in small letters.
    """

    def __init__(self, settings_cls: type[BaseSettings], variables: Mapping[str, str | None]) -> None:
        super().__init__(settings_cls)
        self._variables = variables

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - pydantic's
        """The text of the field's file; None without one."""
        return from_file(field_name, self._variables), field_name, False

    def __call__(self) -> dict[str, Any]:
        """The fields that files set.

        Raises:
            SettingsError: one sentence for each file that cannot be read.
        """
        values, sentences = {}, []
        for name, field in self.settings_cls.model_fields.items():
            if name in self.current_state:
                continue
            try:
                value, _, _ = self.get_field_value(field, name)
            except SettingsError as error:
                sentences.append(str(error))
                continue
            if value is not None:
                values[name] = value
        if sentences:
            raise SettingsError("\n".join(sentences))
        return values


def from_file(name: str, variables: Mapping[str, str | None]) -> str | None:
    """What stands in the file that a variable's `_FILE` names; None without one, or where it is empty.

    Args:
        name: of the variable, spelled as `variables` spells it.

    Raises:
        SettingsError: the file cannot be read. Its path is not shown: a key put there by mistake would be.
    """
    suffix = "_FILE" if name.isupper() else "_file"
    path = variables.get(f"{name}{suffix}")
    if not path:
        return None
    allowed = f"the path of a readable text file of at most {MAX_BYTES} bytes"
    refusal = f"{name.upper()}_FILE cannot be used (its value is not shown): it must be {allowed}"
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not UTF-8 text"
        raise SettingsError(f"{refusal}; {why}.") from None
    if len(content) > MAX_BYTES:
        raise SettingsError(f"{refusal}.")
    return text.strip() or None


def completed_urls(settings: Settings) -> dict[str, str]:
    """REDIS_URL and BROKER_URL with UNDERSTUDY_REDIS_PASSWORD, as an update of the settings; empty without one."""
    password = settings.understudy_redis_password.get_secret_value() if settings.understudy_redis_password else ""
    urls = {"redis_url": settings.redis_url, "broker_url": settings.broker_url}
    return {name: with_password(url, password) for name, url in urls.items() if url and password}
