"""Trains the pocket models: `python -m training` generates, trains, evaluates and exports, seeded."""
