"""Programs that show Understudy at work."""
