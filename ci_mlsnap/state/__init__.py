"""What mlsnap remembers between processes: leases, journals, outbox, live trees, catalogue.

Everything here stands in one state folder, which may be on NFS: it needs only flock and atomic renames.
"""
