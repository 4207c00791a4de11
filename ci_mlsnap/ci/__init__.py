"""The CI we run in: what its environment says, and how its log, outputs and summary are written."""
