"""Aria inside midikin: its tokenizer, its transformer and its released weights.

Source: Bradshaw et al. 2025, "Scaling Self-Supervised Representation Learning for Symbolic Piano Performance"
(arXiv 2506.23869). Names of tokens and weights are those of its reference code, so that its files load.
"""
