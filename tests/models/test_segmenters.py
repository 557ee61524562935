"""Maps and names of segmenters are the authors', on recorded outputs of their code (`data/dense/README.md`)."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from replication import papers
from replication.models import build_variant, load_checkpoint
from replication.models.dense.backbone import build_backbone
from replication.models.dense.twins import Twins
from replication.records.words import UserError
from tests.models.given import give, narrowed, picture, weights

DATA = Path(__file__).parent / "data" / "dense"
RELEASED = {
    "upernet_swin_t": "upernet_swin_tiny",
    "semantic_fpn_pvt_small": "semantic_fpn_pvt_small",
    "semantic_fpn_pcpvt_s": "semantic_fpn_pcpvt_small",
    "semantic_fpn_twins_svt_s": "semantic_fpn_alt_gvt_small",
}


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from narrowed(monkeypatch)


def image(height: int, width: int) -> Tensor:
    return torch.tensor(picture(height, width).transpose(2, 0, 1)[None] / 128 - 1, dtype=torch.float32)


def thinned(x: Tensor) -> Tensor:
    return x.flatten()[:: max(1, x.numel() // 400)]


# Of 92 x 133 px no grid of either is of whole windows; of 112 x 133 px those of Twins are whole windows high.
@pytest.mark.parametrize("size", [(92, 133), (112, 133)])
@pytest.mark.parametrize("name", ["swin_t", "pcpvt_s", "pvt_small", "twins_svt_s_masked", "twins_svt_s_unmasked"])
def test_maps_are_the_recorded_ones(name: str, size: tuple[int, int], narrow: None) -> None:
    """Padding before the shift, the mask of the padding and where it cancels, norms in and beside the path."""
    model_id = name.removesuffix("_unmasked").removesuffix("_masked")
    body = give(build_backbone(model_id, segmenter=not name.endswith("_unmasked")))
    with np.load(DATA / "maps.npz") as recorded, torch.no_grad():
        for i, found in enumerate(body(image(*size))):
            expected = torch.from_numpy(recorded[f"{name}_{size[0]}x{size[1]}_{i}"])
            torch.testing.assert_close(thinned(found), expected, rtol=1e-4, atol=1e-4)


def test_the_padding_of_twins_svt_is_masked_only_where_both_sides_have_some(narrow: None) -> None:
    variant = papers.find_variant("twins_svt_s")
    masked, unmasked = (give(Twins(variant, masked)) for masked in (True, False))
    with torch.no_grad():
        for height, width, same in ((112, 112, True), (112, 133, True), (133, 112, True), (133, 133, False)):
            one, other = (model(image(height, width))[0] for model in (masked, unmasked))
            assert torch.allclose(one, other, atol=1e-5) is same, (height, width)


def test_attention_that_is_masked_is_the_same_by_either_policy(narrow: None) -> None:
    from replication.models.attention import set_attention

    body = give(build_backbone("twins_svt_s", segmenter=True))
    with torch.no_grad():
        math, fused = (set_attention(body, policy)(image(92, 133)) for policy in ("math", "fused"))
    for one, other in zip(math, fused, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("model_id", "others"),
    [
        ("upernet_swin_t", {}),
        # patch embeddings and the norms of the reduction are torch's default, all others 1e-6
        ("upernet_twins_svt_s", {"norm1": 1e-6, "norm2": 1e-6, "norm_list": 1e-6, "backbone.norm": 1e-6}),
        ("semantic_fpn_pvt_small", {"norm1": 1e-6, "norm2": 1e-6}),
    ],
)
def test_epsilons(model_id: str, others: dict[str, float]) -> None:
    with torch.device("meta"):
        model = build_variant(papers.find_variant(model_id))
    for name, module in model.named_modules():
        if isinstance(module, nn.LayerNorm):
            expected = next((value for part, value in others.items() if part in name), 1e-5)
            if name.endswith("attn.norm") or "patch_embed" in name:
                expected = 1e-5
            assert module.eps == expected, name
        elif isinstance(module, nn.BatchNorm2d):
            assert module.eps == 1e-5


# --- files ------------------------------------------------------------------------------------------


def released(name: str) -> dict[str, tuple[int, ...]]:
    return {key: tuple(shape) for key, shape, _ in json.loads((DATA / f"{name}.keys.json").read_text())["keys"]}


@pytest.mark.parametrize(("model_id", "name"), RELEASED.items())
def test_names_and_shapes_are_those_of_the_released_file(model_id: str, name: str) -> None:
    with torch.device("meta"):
        model = build_variant(papers.find_variant(model_id))
    own = {key: tuple(values.shape) for key, values in model.state_dict().items()}
    assert own == {k: shape for k, shape in released(name).items() if not k.endswith("relative_position_index")}


@pytest.fixture
def file(narrow: None, tmp_path: Path) -> Path:
    """As its authors would write a narrow UPerNet on Swin: the index of the biases and more beside the weights."""
    shapes = {k: tuple(v.shape) for k, v in build_variant(papers.find_variant("upernet_swin_t")).state_dict().items()}
    state: OrderedDict[str, Tensor] = OrderedDict(weights(shapes))
    for name in [name for name in state if name.endswith("relative_position_bias_table")]:
        state[name.replace("bias_table", "index")] = torch.zeros(49, 49, dtype=torch.int64)
    meta = {"CLASSES": ("wall", "building"), "PALETTE": [[120, 120, 120]], "lr": np.float64(6e-5), "epoch": 127}
    path = tmp_path / "upernet.pth"
    torch.save({"meta": meta, "state_dict": state, "optimizer": {"state": {}, "param_groups": [{"lr": 1e-4}]}}, path)
    return path


def test_a_file_as_mmsegmentation_writes_it_is_loaded(file: Path) -> None:
    model = load_checkpoint(build_variant(papers.find_variant("upernet_swin_t")), file)
    shapes = {name: tuple(values.shape) for name, values in model.state_dict().items()}
    for name, values in weights(shapes).items():
        assert torch.equal(model.state_dict()[name], values), name


def test_a_file_in_the_format_of_2020_is_loaded(file: Path) -> None:
    held = torch.load(file, weights_only=False)
    torch.save(held, file, _use_new_zipfile_serialization=False)
    load_checkpoint(build_variant(papers.find_variant("upernet_swin_t")), file)


def test_a_file_of_another_segmenter_is_refused(file: Path, narrow: None) -> None:
    with pytest.raises(UserError, match="does not fit SemanticFPN: not in the file"):
        load_checkpoint(build_variant(papers.find_variant("semantic_fpn_swin_t")), file)
