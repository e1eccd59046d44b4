"""Batch re-moderation: many rows beside live traffic, in order of arrival, started again where it stopped."""
