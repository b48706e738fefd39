"""The database of a library: tables, rows, locks, migrations; verifying, repairing, copying."""
