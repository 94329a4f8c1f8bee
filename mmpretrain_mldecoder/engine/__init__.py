"""Runner, hooks, schedules and checkpoint loading around MMEngine."""
