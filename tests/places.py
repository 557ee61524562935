"""Where a test computes: on a CPU, and again on a GPU where there is one; `pytest -rs` says why it did not."""

import pytest
import torch

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU here, so this ran on a CPU alone")
PLACES = ["cpu", pytest.param("cuda", marks=GPU)]
