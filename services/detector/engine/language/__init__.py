"""The language of rules: YAML with SQL expressions → checked forms, every name known and every expression typed."""
