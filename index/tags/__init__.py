"""Tags of the user's own: labels of pieces, from and to tables, with a history."""
