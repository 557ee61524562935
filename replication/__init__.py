"""Replication suite for vision transformers: every published number and claim, with a verdict."""

import warnings

__version__ = "0.1.0"

# What PyTorch and what is built on it call deprecated is theirs to mend, and would stand at the head of every log.
for category in (FutureWarning, DeprecationWarning):
    warnings.filterwarnings("ignore", category=category, module=r"(torch|torchvision|timm|fvcore)\b")
    warnings.filterwarnings("ignore", category=category, message=r".*\btorch\b")
