"""Benchmarks: what mlsnap costs, as ratios within one run against `cp`, `python`, bare kernel calls and others."""
