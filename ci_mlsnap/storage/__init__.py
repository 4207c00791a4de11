"""Storage drivers: each translates one storage to `ports.Driver` and decides nothing."""
