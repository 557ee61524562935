"""Replication suite for vision transformers: every published number and claim, with a verdict."""

__version__ = "0.1.0"
