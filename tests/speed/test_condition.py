"""A condition has a name, sets PyTorch to what it says and back, and refuses what there is not."""

import pytest
import torch
import torch._dynamo

from replication.records.rows import SpeedCell, list_kinds
from replication.records.words import UserError
from replication.speed.condition import PRECISIONS, Condition


def test_the_name_joins_the_fields() -> None:
    assert Condition().name == "cpu_fp32_math_infer_b1"
    everything = Condition("cuda", "amp-bf16", "fused", "train", 64, compiled=True, channels_last=True)
    assert everything.name == "cuda_amp-bf16_fused_train_b64_compiled_channels-last"


def test_its_columns_are_columns_of_the_table() -> None:
    columns = Condition(compiled=True).columns
    assert columns.keys() <= list_kinds(SpeedCell).keys()
    assert (columns["compiled"], columns["channels_last"]) == (1, 0)


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"device": "cudda"}, "unknown device 'cudda'; did you mean 'cuda'?"),
        ({"precision": "amp-bf61"}, "unknown precision 'amp-bf61'; did you mean 'amp-bf16'?"),
        ({"attention": "fusd"}, "unknown attention policy 'fusd'; did you mean 'fused'?"),
        ({"mode": "training"}, "unknown mode 'training'; did you mean 'train'?"),
        ({"batch_size": 0}, "a batch has at least one image, not 0"),
        ({"precision": "tf32"}, "a cpu has no precision 'tf32' here, but fp32, amp-bf16, bf16"),
    ],
)
def test_what_there_is_not_is_refused(choice: dict, said: str) -> None:
    with pytest.raises(UserError) as refused:
        Condition(**choice)
    assert said in str(refused.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_machine_without_a_gpu_says_so() -> None:
    with pytest.raises(UserError, match="no GPU"):
        Condition("cuda").check_machine()


def settings() -> tuple:
    cudnn = torch.backends.cudnn
    return torch.get_num_threads(), torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark


@pytest.mark.parametrize(("precision", "products"), [("fp32", "highest"), ("tf32", "high")])
def test_products_round_to_tf32_only_where_that_is_the_name(precision: str, products: str) -> None:
    before = settings()
    with Condition("cuda", precision).apply(threads=1):
        assert settings() == (1, products, precision == "tf32", True)
    assert settings() == before


@pytest.mark.parametrize("name", [name for name, precision in PRECISIONS.items() if "cpu" in precision.devices])
def test_products_are_of_the_type_that_the_precision_says(name: str) -> None:
    condition = Condition(precision=name)
    x = torch.ones(2, 2, dtype=condition.types.weights)
    with condition.autocast():
        assert (x @ x).dtype == condition.types.compute
    assert condition.types.autocast == name.startswith("amp")


def test_every_model_is_compiled_though_many_share_the_code_of_a_layer() -> None:
    compiled: list[object] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> object:
        compiled.append(graph)
        return graph.forward

    class Layer(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).relu()

    with torch._dynamo.config.patch(recompile_limit=8):  # other code may have raised it
        with Condition(compiled=True).apply(threads=1):
            for width in range(1, 11):
                torch.compile(Layer(width, width), backend=backend, dynamic=False)(torch.ones(1, width))
        assert torch._dynamo.config.recompile_limit == 8
    assert len(compiled) == 10
