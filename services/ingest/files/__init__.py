"""The file door: sources, mapping files, checkpoints, pacing, the load itself."""
