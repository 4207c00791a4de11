"""Values and decisions: frozen, pure, no files, no clock, no network."""
