"""Detectors and segmenters around the backbones, as far as their cost goes: a file a method, each with its `MODEL`.

Their forward runs what cost counters run: everything that multiplies, on proposals that are given, without the choice
of boxes and without what only training needs. They follow mmdetection and mmsegmentation (2021), which all of these
papers use, in widths, numbers of layers and biases; nothing here was trained.
"""
