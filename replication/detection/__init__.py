"""Detection as set prediction: the matching, the loss, and average precision (DETR, arXiv 2005.12872)."""
