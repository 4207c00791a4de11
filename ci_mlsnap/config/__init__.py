"""Settings: strict reading, three levels of trust, one precedence. `keys.py` has every key."""
