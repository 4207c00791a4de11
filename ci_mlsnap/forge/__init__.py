"""Where commits are looked at: GitHub, or a dry run that only shows what would be sent."""
