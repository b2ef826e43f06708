"""Everything that works on stored events: the archive, backtests, shadow runs, rebuilding state."""
