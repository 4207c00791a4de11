"""Readers of metrics: bytes in, names and numbers out. Standard library only, as the child has nothing else."""
