"""A simulated province: customers, history, live events and planted moments with their truth."""
