"""LiteLLM's proxy: an OpenAI-compatible server that is not ours, installed in an environment of its own."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.support.polling import eventually
from workers.leash import LeashedProcess
from workers.local_redis import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = Path(__file__).parent / "litellm-requirements.txt"
CACHE = ROOT / ".cache" / "litellm"
INSTALL_S, START_S = 900, 120
KEY = "sk-made-up-for-a-proxy-of-the-tests-alone"

_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def installed() -> Path:
    """The environment's programs; it is made at the first use, and anew when the requirements have changed."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + version.encode()).hexdigest()[:16]
    home = CACHE / wanted
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
            pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True, timeout=INSTALL_S)
            (home / "complete").touch()
    return home / "bin"


class LiteLLMProxy:
    """The proxy on loopback, where each model gives one answer.

    Args:
        folder: for its settings and its log.
        answers: of each model.
    """

    def __init__(self, folder: Path, answers: Mapping[str, str]) -> None:
        self._folder = folder
        self._answers = answers
        self._port = free_port()
        self.base_url = f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> Self:
        models = [
            {
                "model_name": name,
                "litellm_params": {"model": f"openai/{name}", "api_key": "none", "mock_response": answer},
            }
            for name, answer in self._answers.items()
        ]
        config, log = self._folder / "litellm.yaml", self._folder / "litellm.log"
        config.write_text(json.dumps({"model_list": models}), encoding="utf-8")  # JSON is YAML
        command = [str(installed() / "litellm"), "--config", str(config), "--host", "127.0.0.1"]
        # Its list of prices would come from the internet.
        env = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": KEY}
        with log.open("wb") as output:
            self._process = LeashedProcess(
                [*command, "--port", str(self._port), "--telemetry", "False"], env=env, output=output.fileno()
            )

        def answers() -> bool:
            said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            if not self._process.alive:
                raise RuntimeError(f"LiteLLM's proxy did not start:\n{said}")
            try:
                with _open(f"http://127.0.0.1:{self._port}/health/liveliness", timeout=2) as response:
                    return bool(response.status == 200)
            except OSError:
                raise AssertionError(said) from None

        try:
            eventually(answers, limit_s=START_S)
        except BaseException:
            self._process.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
