"""The slow, obvious evaluator: what the engine must equal, written without any of its code."""
