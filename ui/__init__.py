"""What people touch: the command line. It uses the other three packages, and nothing uses it."""
