"""How `data/detectors/*.json` were made; not run by the tests. What mmdetection finds in a picture with random weights.

In an environment of their own, with torch, torchvision, mmdet 3.3.0, mmengine 0.10.7, mmcv-lite 2.1.0 and OpenCV, from
the root of a checkout: `python -m tests.models.record_detectors`. mmcv-lite has no operators: RoIAlign and the
suppression are torchvision's. Its PVT has one epsilon where the authors' has two, and is given theirs. mmdetection
takes a RetinaNet's 1000 best pairs of anchor and class where the papers' version took 1000 anchors; no level here has
as many above the least score. Scales of the last layers are measured on the same picture and recorded.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import json
import sys
import tempfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torchvision
from pycocotools import mask as run_lengths
from torch import Tensor, nn

from replication.models import build
from tests.models.random_detectors import LAST, Scales, filled, picture

FOLDER = Path(__file__).parent / "data" / "detectors"
SHORT_SIDE = 160
MODELS = (
    *("retinanet_resnet50_caffe", "retinanet_pvt_tiny", "mask_r_cnn_resnet50", "mask_r_cnn_pvt_tiny"),
    *("mask_r_cnn_swin_t", "cascade_mask_r_cnn_swin_t"),
)
SPREAD = {"retina_cls": 1.3, "retina_reg": 0.4, "rpn_cls": 2.0, "rpn_reg": 0.4, "fc_cls": 2.5, "fc_reg": 1.5}
PAIRS = 300
"""Of a RetinaNet, above the least score."""
MASKS = 10
"""That are recorded, of the best detections; those of random weights are long."""

# --- stand-ins for mmcv.ops -------------------------------------------------------------------------


class RoIAlign(nn.Module):
    """torchvision's, under mmcv's options."""

    def __init__(self, output_size: int, spatial_scale: float, sampling_ratio: int, aligned: bool = True) -> None:
        super().__init__()
        self.output_size = (output_size, output_size)
        self.options = output_size, spatial_scale, sampling_ratio or -1, aligned

    def forward(self, level: Tensor, boxes: Tensor) -> Tensor:
        return torchvision.ops.roi_align(level, boxes, *self.options)


def batched_nms(boxes: Tensor, scores: Tensor, classes: Tensor, nms_cfg: Any, **_: Any) -> tuple[Tensor, Tensor]:
    """Suppression within classes, the best first."""
    kept = torchvision.ops.batched_nms(boxes, scores, classes, nms_cfg["iou_threshold"])
    return torch.cat([boxes[kept], scores[kept, None]], dim=1), kept


def nothing(name: str) -> type[nn.Module]:
    """A class of that name, for whoever imports it without need."""
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (nn.Module,), {})


class Operators(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """`mmcv.ops` and all below it, with a class that does nothing for every other name."""

    def find_spec(self, name: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.startswith("mmcv.ops") else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = types.ModuleType(spec.name)
        module.__dict__.update(RoIAlign=RoIAlign, batched_nms=batched_nms, __path__=[])
        module.__dict__["__getattr__"] = nothing
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing is left to do."""


# --- their models -----------------------------------------------------------------------------------


def config(model_id: str) -> dict[str, Any]:
    """The configuration of a model of ours."""
    method = next(name for name in ("cascade_mask_r_cnn", "mask_r_cnn", "retinanet") if model_id.startswith(name))
    body = model_id.removeprefix(f"{method}_")
    backbones: dict[str, tuple[dict[str, Any], list[int]]] = {
        "resnet50": ({"type": "ResNet", "depth": 50, "norm_eval": True}, [256, 512, 1024, 2048]),
        "pvt_tiny": (
            {
                "type": "PyramidVisionTransformer",
                "num_layers": [2, 2, 2, 2],
                "paddings": [0, 0, 0, 0],
                "mlp_ratios": [8, 8, 4, 4],
                "norm_after_stage": False,
                "drop_path_rate": 0.0,
            },
            [64, 128, 320, 512],
        ),
        "swin_t": ({"type": "SwinTransformer", "drop_path_rate": 0.0}, [96, 192, 384, 768]),
    }
    backbone, channels = backbones[body.removesuffix("_caffe")]
    mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
    if body.endswith("_caffe"):
        backbone["style"] = "caffe"
        mean, std = mean[::-1], [1.0, 1.0, 1.0]
    preprocessor = {"type": "DetDataPreprocessor", "mean": mean, "std": std, "pad_size_divisor": 32}
    neck: dict[str, Any] = {"type": "FPN", "in_channels": channels, "out_channels": 256, "num_outs": 5}
    nms = {"type": "nms", "iou_threshold": 0.5}
    whole = {"backbone": backbone, "neck": neck, "train_cfg": None}
    whole["data_preprocessor"] = {**preprocessor, "bgr_to_rgb": not body.endswith("_caffe")}
    if method == "retinanet":
        neck.update(start_level=1, add_extra_convs="on_input")
        generator = {
            "type": "AnchorGenerator",
            "octave_base_scale": 4,
            "scales_per_octave": 3,
            "ratios": [0.5, 1.0, 2.0],
        }
        head = {"type": "RetinaHead", "num_classes": 80, "in_channels": 256, "bbox_coder": coder(1.0)}
        head["anchor_generator"] = {**generator, "strides": [8, 16, 32, 64, 128]}
        test = {"nms_pre": 1000, "min_bbox_size": 0, "score_thr": 0.05, "nms": nms, "max_per_img": 100}
        return {"type": "RetinaNet", **whole, "bbox_head": head, "test_cfg": test}
    generator = {"type": "AnchorGenerator", "scales": [8], "ratios": [0.5, 1.0, 2.0], "strides": [4, 8, 16, 32, 64]}
    rpn = {"type": "RPNHead", "in_channels": 256, "anchor_generator": generator, "bbox_coder": coder(1.0)}
    aligned = {"type": "RoIAlign", "sampling_ratio": 0}
    extractor = {"type": "SingleRoIExtractor", "out_channels": 256, "featmap_strides": [4, 8, 16, 32]}
    roi: dict[str, Any] = {
        "bbox_roi_extractor": {**extractor, "roi_layer": {**aligned, "output_size": 7}},
        "mask_roi_extractor": {**extractor, "roi_layer": {**aligned, "output_size": 14}},
        "mask_head": {"type": "FCNMaskHead", "loss_mask": {"type": "CrossEntropyLoss", "use_mask": True}},
    }
    if method == "cascade_mask_r_cnn":
        four = {"type": "ConvFCBBoxHead", "num_shared_convs": 4, "num_shared_fcs": 1, "norm_cfg": {"type": "BN"}}
        stages = [coder(0.1, 0.2), coder(0.05, 0.1), coder(0.033, 0.067)]
        heads = [{**four, "in_channels": 256, "num_classes": 80, "bbox_coder": stage} for stage in stages]
        roi |= {"type": "CascadeRoIHead", "num_stages": 3, "stage_loss_weights": [1, 0.5, 0.25], "bbox_head": heads}
    else:
        two = {"type": "Shared2FCBBoxHead", "in_channels": 256, "num_classes": 80, "bbox_coder": coder(0.1, 0.2)}
        roi |= {"type": "StandardRoIHead", "bbox_head": two}
    proposals = {"nms_pre": 1000, "max_per_img": 1000, "nms": {**nms, "iou_threshold": 0.7}, "min_bbox_size": 0}
    rcnn = {"score_thr": 0.05, "nms": nms, "max_per_img": 100, "mask_thr_binary": 0.5}
    kind = "CascadeRCNN" if method == "cascade_mask_r_cnn" else "MaskRCNN"
    return {"type": kind, **whole, "rpn_head": rpn, "roi_head": roi, "test_cfg": {"rpn": proposals, "rcnn": rcnn}}


def coder(centre: float, side: float | None = None) -> dict[str, Any]:
    """Deltas of these deviations."""
    deviations = [centre] * 2 + [side or centre] * 2
    return {"type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4, "target_stds": deviations}


def their_names(state: dict[str, Tensor], backbone: nn.Module) -> dict[str, Tensor]:
    """Released names as mmdetection 3 has them, which renames two backbones."""
    inside = {name.removeprefix("backbone."): v for name, v in state.items() if name.startswith("backbone.")}
    kind = type(backbone).__name__
    if kind == "PyramidVisionTransformer":
        inside["pos_embed4"] = inside["pos_embed4"][:, 1:]  # the place of a class token that is not there
        inside = importlib.import_module("mmdet.models.backbones.pvt").pvt_convert(inside)
    elif kind == "SwinTransformer":
        inside = importlib.import_module("mmdet.models.backbones.swin").swin_converter(inside)
    outside = {name: v for name, v in state.items() if not name.startswith("backbone.")}
    return {**outside, **{f"backbone.{name.removeprefix('backbone.')}": v for name, v in inside.items()}}


def use(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Load weights of released names; what a file computes anew may be missing."""
    backbone = model.get_submodule("backbone")
    missing, left = model.load_state_dict(their_names(state, backbone), strict=False)
    missing = [name for name in missing if not name.endswith(("relative_position_index", "num_batches_tracked"))]
    if missing or left:
        raise RuntimeError(f"{missing[:3]} are missing and {left[:3]} left over")
    if type(backbone).__name__ == "PyramidVisionTransformer":
        for name, module in backbone.named_modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = 1e-6 if name.endswith(("norm1", "norm2")) else 1e-5


# --- what they find ---------------------------------------------------------------------------------


def found(model: Any, path: Path, short_side: int = SHORT_SIDE) -> Any:
    """The detections in a picture, as their test pipeline and `test_step` give them."""
    transforms = importlib.import_module("mmdet.registry").TRANSFORMS
    scale = (round(short_side * 1333 / 800), short_side)
    data: Any = {"img_path": str(path), "img_id": 0}
    for step in (
        {"type": "LoadImageFromFile"},
        {"type": "Resize", "scale": scale, "keep_ratio": True},
        {"type": "PackDetInputs", "meta_keys": ("img_id", "ori_shape", "img_shape", "scale_factor")},
    ):
        data = transforms.build(step)(data)
    with torch.no_grad():
        batch = {"inputs": [data["inputs"]], "data_samples": [data["data_samples"]]}
        return model.test_step(batch)[0].pred_instances


def scales_of(model: nn.Module, like: dict[str, Tensor], path: Path, short_side: int = SHORT_SIDE) -> Scales:
    """Factors and shifts of the last layers, one after the other as they are run, for the spreads of `SPREAD`."""
    scales: dict[str, tuple[float, float]] = {}
    for layer in last_layers(model):
        use(model, filled(like, scales))
        seen: list[Tensor] = []
        module = model.get_submodule(layer)
        hook = module.register_forward_hook(lambda _, __, out, seen=seen: seen.append(out.flatten()))
        found(model, path, short_side)
        hook.remove()
        out = torch.cat(seen)
        kind = layer.rpartition(".")[2]
        factor = SPREAD.get(kind, 4.0) / float(out.std())
        highest = float(out.topk(PAIRS).values[-1]) if kind == "retina_cls" else 0.0
        scales[layer] = (factor, -2.944 - highest * factor) if kind == "retina_cls" else (factor, 0.0)
    use(model, filled(like, scales))
    return {layer: (float(f"{a:.6g}"), float(f"{b:.6g}")) for layer, (a, b) in scales.items()}


def last_layers(model: nn.Module) -> Iterator[str]:
    """Their names, in the order in which they are run."""
    names = [name for name, _ in model.named_modules() if name.rpartition(".")[2] in LAST]
    yield from sorted(names, key=lambda name: ("conv_logits" in name, name.startswith("roi_head"), name))


def record(model_id: str, path: Path) -> dict[str, Any]:
    """What is recorded of a model."""
    with torch.device("meta"):
        like = dict(build(model_id).state_dict())
    registry = importlib.import_module("mmdet.registry").MODELS
    model = registry.build(importlib.import_module("mmengine.config").ConfigDict(config(model_id))).eval()
    scales = scales_of(model, like, path)
    use(model, filled(like, scales))
    detections = found(model, path)
    rows: list[dict[str, Any]] = []
    for i in range(len(detections)):
        row: dict[str, Any] = {"class": int(detections.labels[i]), "score": round(float(detections.scores[i]), 6)}
        row["box"] = [round(x, 3) for x in detections.bboxes[i].tolist()]
        if "masks" in detections and i < MASKS:
            packed = run_lengths.encode(np.asfortranarray(detections.masks[i].numpy(), dtype=np.uint8))
            row["mask"] = packed["counts"].decode("ascii")
        rows.append(row)
    return {"short_side": SHORT_SIDE, "scales": scales, "detections": rows}


def stand_in() -> None:
    """Make mmdet importable without mmcv's operators."""
    sys.meta_path.insert(0, Operators())
    vars(importlib.import_module("mmcv"))["ops"] = importlib.import_module("mmcv.ops")
    for name in ("mmdet.models", "mmdet.datasets.transforms"):
        importlib.import_module(name)
    importlib.import_module("mmengine.registry").init_default_scope("mmdet")


def main() -> None:
    """Write all of them."""
    stand_in()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        cv2.imwrite(str(path), picture()[:, :, ::-1])
        for model_id in MODELS:
            lines = json.dumps(record(model_id, path)).replace('{"class"', '\n{"class"')
            (FOLDER / f"{model_id}.json").write_text(lines + "\n")
            print(model_id, flush=True)


if __name__ == "__main__":
    main()
