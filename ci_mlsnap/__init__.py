"""mlsnap: every commit carries its model."""

__version__ = "0.1.0"
