"""Planted stories, one module per rule: what happens to one customer, and which moments that must raise."""
