"""Programs that measure; `kairos bench` runs them. Each is a module with a main and a JSON object as its last line."""
