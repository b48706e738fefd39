"""Corpora, pretraining, contrastive finetuning and the scoring of encoders."""
