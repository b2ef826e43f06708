"""`kairos rules`: checking, comparing, explaining and publishing rule files."""
