"""Continuing music: sampling the next notes from a language model of notes, or from Aria's."""

import os

# A note is little work for a thread: threads that spin while they wait would cost more than they do.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
