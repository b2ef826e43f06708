"""A customer's record: where everything is in it, and what events and time do to it. Knows no rule."""
