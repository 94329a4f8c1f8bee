"""The runner, its loop and launch, and how a run ends."""
