"""PostgreSQL schema `router`: what was taken in, what was decided, what was sent."""
