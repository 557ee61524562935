"""What is measured: the metrics by name, with the instrument that can fill each, and their prefix units."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One metric. `kind` says which instrument can fill it, and so which verdict an empty cell gets."""

    name: str
    kind: str  # count | architecture | setting | accuracy | speed | cost | insight
    description: str
    task: str = ""  # of an accuracy: what its model is trained for, classification | detection | segmentation


def _make_metrics(kind: str, task: str = "", **described: str) -> dict[str, Metric]:
    return {name: Metric(name, kind, text, task) for name, text in described.items()}


MECHANISMS = {
    "global": "global",
    "spatial_reduction": "spatial reduction",
    "windowed": "windowed",
    "windowed_subsampled": "windowed + sub-sampled (two layers)",
    "messenger": "windows with messengers",
}
"""The attention mechanisms that are counted and timed alone, in words."""

METRICS: dict[str, Metric] = {
    **_make_metrics(
        "count",
        params="learnable parameters, classifier head included",
        macs="multiply-adds of one image (what these papers print as FLOPs)",
        macs_linear="multiply-adds without the attention products QK^T and AV",
        peak_memory="largest sum of live tensors, in bytes",
    ),
    **_make_metrics(
        "architecture",
        depth="blocks (of a stage)",
        inner_dim="width of a word (TNT)",
        num_heads_inner="attention heads among the words of a sentence (TNT)",
        num_heads_outer="attention heads among sentences (TNT)",
        inner_mlp_ratio="hidden width of the words' MLP over their width (TNT)",
        embed_dim="token width (of a stage)",
        mlp_dim="hidden width of the MLP",
        mlp_ratio="hidden width of the MLP over the token width",
        num_heads="attention heads (of a stage)",
        patch_size="side of a patch in pixels, or of a merge in tokens",
        sr_ratio="side of the square that spatial reduction turns into one key",
        window_size="side of an attention window in tokens",
    ),
    **_make_metrics("setting", setting="a choice of the recipe or a property of a data set: an input, not a result"),
    **_make_metrics(
        "accuracy",
        "classification",
        top1="top-1 accuracy",
        top1_zero_shot="top-1 accuracy at a new image size before any training there",
        top1_std="standard deviation of top-1 over fine-tuning runs",
        top1_change="change of top-1 accuracy against another row",
        top1_error="top-1 error",
        top5="top-5 accuracy",
        few_shot="linear few-shot accuracy",
        mean_accuracy="accuracy averaged over tasks",
        disagreement="fraction of samples that two classifiers label differently",
    ),
    **_make_metrics("accuracy", loss="cross-entropy loss"),
    **_make_metrics(
        "accuracy",
        "detection",
        ap_box="box average precision",
        ap_box_50="box average precision at an overlap of 0.5",
        ap_box_75="box average precision at an overlap of 0.75",
        ap_box_small="box average precision of small objects",
        ap_box_medium="box average precision of medium objects",
        ap_box_large="box average precision of large objects",
        ap_box_change="change of a box average precision against another row",
        ar_box_1="box average recall with 1 detection an image",
        ar_box_10="box average recall with 10 detections an image",
        ar_box_100="box average recall with 100 detections an image",
        ar_box_small="box average recall of small objects",
        ar_box_medium="box average recall of medium objects",
        ar_box_large="box average recall of large objects",
        ap_gain_layers="gain in box average precision from the first decoder layer to the last",
        ap_50_gain_layers="gain in box average precision at an overlap of 0.5 from the first decoder layer to the last",
        ap_smallest_step="least gain in box average precision from one decoder layer to the next",
        nms_gain_first="gain in box average precision by non-maximum suppression after the first decoder layer",
        nms_gain_last="gain in box average precision by non-maximum suppression after the last decoder layer",
        attention_inside="density of a query's attention inside the box it found, over that in the whole image",
        encoder_attention_own="density of an object's self-attention inside its box, over that inside other objects'",
        slot_place="variance of the centres of boxes that the query slot explains",
        slot_size="variance of the logarithm of the area of boxes that the query slot explains",
        slot_class="information about the class that the query slot gives, over the entropy of the class",
        found_half="objects found in images of at most half as many as there are queries",
        found_full="objects found, over the queries, in images of at least as many",
        ap_mask="mask average precision",
        ap_mask_50="mask average precision at an overlap of 0.5",
        ap_mask_75="mask average precision at an overlap of 0.75",
        ap_mask_small="mask average precision of small objects",
        ap_mask_medium="mask average precision of medium objects",
        ap_mask_large="mask average precision of large objects",
        pq="panoptic quality",
        sq="segmentation quality",
        rq="recognition quality",
        **{
            f"{short}_{part}": f"{name} quality of {what}"
            for short, name in (("pq", "panoptic"), ("sq", "segmentation"), ("rq", "recognition"))
            for part, what in (("th", "things"), ("st", "stuff"))
        },
    ),
    **_make_metrics(
        "accuracy",
        "segmentation",
        miou="mean intersection over union",
        miou_ms="mean intersection over union, by the mean over six scales and their mirror images",
        ade20k_score="score of the ADE20K test server",
    ),
    **_make_metrics(
        "speed",
        throughput="images per second",
        latency="time of one image or one module",
    ),
    **_make_metrics(
        "cost",
        pretrain_compute="operations of the whole pre-training (two per multiply-add)",
        pretrain_time="device time of the whole training",
        finetune_time="wall time of a fine-tuning run",
        file_size="size of the released checkpoint",
    ),
    **_make_metrics(
        "insight",
        filters_dimensions="dimensions that the filters of patches take up",
        filters_smoothness="density of the filters' energy in low frequencies, over that in all",
        positions_nearness="rank correlation of the similarity of two positions with their nearness",
        positions_lines="variance of a position's similarities that rows and columns explain",
        distance_lowest_nearest="attention distance of the nearest-looking head of the lowest block, over uniform's",
        distance_lowest_farthest="attention distance of the farthest-looking head of the lowest block, over uniform's",
        distance_growth="attention distance of the last block less the lowest one's, over uniform attention's",
        rollout_on_object="density of rolled-out attention on the object, over that in the whole image",
        rollout_in_scenes="density of rolled-out attention in the box of a cluttered scene's object, over the scene's",
        reach_stage="pairs of patches that gradients connect after the last block of the first grid",
        reach_mismatch="pairs of patches on which gradients and the graph of the architecture differ",
        field_stage="patches in effect for a patch after the last block of the first grid",
        shift_change="change of logits when the image moves by a seventh of its side",
        size_change="change of logits when the image comes at twice its size",
        similarity_growth="mean cosine of two patches of an image after the last block less that after the lowest",
        neighbours_growth="accuracy of nearest neighbours after the last block less that after the lowest",
        tokens_first="cosine of class and distillation token as they are learned",
        tokens_last="mean cosine of class and distillation token after the last block",
        tokens_growth="mean cosine of class and distillation token after the last block less that of the learned ones",
    ),
}


COCO_BOXES = (
    *("ap_box", "ap_box_50", "ap_box_75", "ap_box_small", "ap_box_medium", "ap_box_large"),
    *("ar_box_1", "ar_box_10", "ar_box_100", "ar_box_small", "ar_box_medium", "ar_box_large"),
)
"""The twelve numbers by which COCO measures boxes, in the order of its evaluation."""


@dataclass(frozen=True)
class Cost:
    """A cost of an image: multiply-adds, or the peak memory of a mode under a policy of attention."""

    quantity: str
    mode: str = ""
    attention: str = ""

    @property
    def name(self) -> str:
        """Its column in `counts.csv`: `peak_memory_infer_math`."""
        return "_".join(filter(None, (self.quantity, self.mode, self.attention)))


PEAKS = tuple(Cost("peak_memory", mode, attention) for mode in ("infer", "train") for attention in ("math", "fused"))
COSTS = {cost.name: cost for cost in (Cost("macs"), *PEAKS)}
"""What curves are fitted to and compared by, by name."""


UNIT_SCALE = {"k": 1e3, "M": 1e6, "G": 1e9}
"""Prefix units of published counts; measured counts are in ones."""
