"""Training: the command, its environment, its descendants, and the metrics it leaves. It is given no secret."""
