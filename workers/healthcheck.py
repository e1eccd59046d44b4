"""`python -m workers.healthcheck [URL]`: exit status 0 where it answers well, 1 and a sentence where it does not.

For container engines, which start it every few seconds: it imports nothing but the standard library.
"""

from __future__ import annotations

import http.client
import os
import sys
import urllib.error
import urllib.request

PORT = "UNDERSTUDY_METRICS_PORT"
LIMIT_S = 4.0
"""Below the time that the image's own health check gives it."""


def fault(url: str) -> str | None:
    """What is wrong there, in a sentence; None where it answers with a status below 400."""
    # Without the proxies of the environment, which know nothing of a container's loopback.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=LIMIT_S):
            return None
    except urllib.error.HTTPError as error:
        return f"{url} answered with status {error.code}."
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"{url} does not answer: {error}."


def main(arguments: list[str]) -> int:
    """Look at the URL that is given, or at whether this container's worker is alive."""
    port = os.environ.get(PORT) or "0"
    if not arguments and port == "0":
        sys.stderr.write(f"There is nothing to look at: {PORT} is not set, and no URL is given.\n")
        return 1
    found = fault(arguments[0] if arguments else f"http://127.0.0.1:{port}/healthz")
    if found:
        sys.stderr.write(f"{found}\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
