"""What a bot and the workers agree on: contracts, state, routing, settings."""

__version__ = "0.1.0"
