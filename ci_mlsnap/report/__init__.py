"""What people read about a run, rendered from its record with jinja2."""
