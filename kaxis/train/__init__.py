"""The trainer and what feeds it."""
