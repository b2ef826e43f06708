"""Decides for every moment whether, how and by whom the customer is contacted, and says why when not."""
