"""State out and in: turns in the state topic, loading them, and the proof that they hold."""
