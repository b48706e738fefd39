"""Continuing music: sampling the next notes from a language model of notes, or from Aria's."""
