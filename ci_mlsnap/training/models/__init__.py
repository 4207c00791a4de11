"""What a model file says of itself, read without loading it. Standard library only, but for `asking`."""
