"""A phone manager's client in a terminal: waits for work, shows the card, takes the answer."""
