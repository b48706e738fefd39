"""Search by melody: which pieces hold a tune, whatever its key and tempo."""
