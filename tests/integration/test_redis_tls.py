"""Redis over TLS, with a certificate of a private authority; seen on a real redis-server."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from bot_client import Unavailable
from tests.support.command_line import CommandLine
from tests.support.polling import aeventually
from tests.support.stack import Stack
from tests.support.tls_redis import TlsRedis

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bot_client import Understudy

pytestmark = [
    pytest.mark.redis_server,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed"),
]


class TlsStack(Stack):
    """A worker, a client and their Redis, which speak TLS."""

    redis: TlsRedis

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "redis", workers={"ollama,openai": 8})
        self.redis = TlsRedis(directory / "redis")


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsStack]:
    with TlsStack(tmp_path_factory.mktemp("tls")) as stack:
        yield stack


async def provider_of_a_call(llm: Understudy) -> str:
    """Who answered: a client gives a connection a second, which a busy machine may want for its handshake alone."""

    async def answered() -> str:
        with suppress(Unavailable):
            return (await llm.moderate("hello")).provider or ""
        return ""

    return await aeventually(answered)


async def test_a_call_goes_to_a_worker_and_back(encrypted: TlsStack) -> None:
    async with encrypted.client() as llm:
        assert await provider_of_a_call(llm) == "ollama"
    assert "rediss://" in next(iter(encrypted.workers.values())).text()


async def test_the_authority_can_come_from_the_environment(
    encrypted: TlsStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(encrypted.redis.authority))
    async with encrypted.client(redis_url=encrypted.redis.bare_url()) as llm:
        assert await provider_of_a_call(llm) == "ollama"


async def test_a_server_whose_authority_is_unknown_is_not_trusted(encrypted: TlsStack, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        async with encrypted.client(redis_url=encrypted.redis.bare_url()) as llm:
            await llm.moderate("hello")
    ran = await CommandLine(tmp_path, encrypted.redis.bare_url()).run("status")
    assert ran.status == 4
