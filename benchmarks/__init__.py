"""Benchmarks: what mlsnap costs, as ratios against `cp`, `python` and `click` within one run."""
