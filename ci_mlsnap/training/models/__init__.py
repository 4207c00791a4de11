"""What a model file says of itself, read without loading it. Standard library only, but for `asking`.

Readers load what only they need at the moment of need: a process is started for each run, mostly for one format.
"""
