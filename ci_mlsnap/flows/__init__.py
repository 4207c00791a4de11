"""One file per verb; each reads like the sequence in `docs/phases.md`."""
