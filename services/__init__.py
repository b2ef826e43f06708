"""The processes of Kairos, and the few things that they share by name."""
