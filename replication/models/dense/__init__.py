"""Detectors and segmenters around the backbones: a file a method, each with its `MODEL`.

They follow mmdetection and mmsegmentation (2021), which all of these papers use, in names of parameters, widths,
numbers of layers and biases, so that the files which the authors published load as they are. `forward` runs what cost
counters run: everything that multiplies, on proposals that are given, without the choice of boxes and without what only
training needs.
"""
