"""A Redis whose users may do what `deploy/redis/users.acl` says, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis as redis_sync

from tests.support.redis_server import RedisServer

RULES = Path(__file__).resolve().parents[2] / "deploy" / "redis" / "users.acl"
PASSWORD = "made-up-for-a-test"


def users() -> dict[str, list[str]]:
    """The rules of each user in the file."""
    lines = (line.split() for line in RULES.read_text(encoding="utf-8").splitlines())
    return {words[1]: words[2:] for words in lines}


class LockedRedis(RedisServer):
    """The server of a test, whose address is that of the workers' user once it has started."""

    user: str | None = None

    def start(self, limit_s: float = 20.0) -> None:
        """Start it, and give it the users of the file."""
        self.user = None
        super().start(limit_s)
        with self.admin() as admin:
            for name, rules in users().items():
                if name != "default":
                    admin.execute_command("ACL", "SETUSER", name, "reset", *rules, f">{PASSWORD}")
        self.user = "worker"

    def admin(self) -> redis_sync.Redis:
        """A client that may do everything."""
        return redis_sync.Redis.from_url(super().url(), decode_responses=True)

    def url(self, db: int = 0) -> str:
        """The address with the login of the user in turn."""
        return super().url(db) if self.user is None else self.url_of(self.user, db)

    def url_of(self, user: str, db: int = 0) -> str:
        """The address with the login of a user."""
        return super().url(db).replace("//", f"//{user}:{PASSWORD}@", 1)

    def refused(self) -> list[tuple[str, str, str]]:
        """What was refused, by user, kind and name; that redis-py may not say its own name is no matter."""
        with self.admin() as admin:
            rows: Any = admin.acl_log(1000)
        found = [(str(row["username"]), str(row["reason"]), str(row["object"])) for row in rows]
        return [row for row in found if row[2] != "client|setinfo"]
