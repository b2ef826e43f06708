"""The contracts: everything that crosses a process boundary, and nothing else."""
