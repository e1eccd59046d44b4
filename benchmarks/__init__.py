"""Figures of how the system performs and what it costs, made anew by whoever doubts them."""
