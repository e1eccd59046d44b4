"""`python -m bot_client.cli`: the same as `understudy`."""

from __future__ import annotations

from bot_client.cli.root import main

if __name__ == "__main__":
    main()
