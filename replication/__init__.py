"""Replication suite for vision transformers: every published number and claim, with a verdict."""

import warnings

__version__ = "0.1.0"

# What PyTorch and what is built on it call deprecated is theirs to mend, and would stand at the head of every log.
for category in (FutureWarning, DeprecationWarning):
    warnings.filterwarnings("ignore", category=category, module=r"(torch|torchvision|timm|fvcore)\b")
    warnings.filterwarnings("ignore", category=category, message=r".*\btorch\b")
# Inference without gradients is what is counted here, and which kind a checkpoint is changes no count.
warnings.filterwarnings("ignore", message=r"None of the inputs have requires_grad|.*use_reentrant parameter should")
