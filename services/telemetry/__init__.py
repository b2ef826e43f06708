"""Logs, health and metrics plumbing; imports nothing of the rest."""
