"""Checked rules → machine code: the text of their functions, how it is compiled and kept, how loops call it."""
