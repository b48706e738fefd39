"""Duplicates: groups of pieces that hold the same music, keepers, decisions and reports."""
