"""What the demo and the tests need beside mlsnap itself."""
