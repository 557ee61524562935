# What a job of each rule needs, in one place: memory [MB] and time [minutes], for schedulers that ask for it and for
# `--resources mem_mb=...`. Twice or more what the comments say was measured on two cores of an AMD EPYC; the rest is
# estimated.
NEEDS = {
    "published": (1000, 5),  # 40 MB, two seconds
    # Shapes only: 1 GB for ViT-L/16 at 4096 px; a third of a second a cell.
    "complexity_count": (4000, 60),
    "complexity_merge": (2000, 10),
    "complexity_mechanisms": (4000, 10),  # 0.9 GB, ten seconds
    "complexity_scaling": (2000, 10),
    "complexity_crossings": (2000, 10),
    "departures": (4000, 15),  # 1.8 GB, half a minute
    "fetch": (2000, 240),  # as long as the network takes
    "fetch_weights": (2000, 240),
    "controls": (4000, 60),  # a quarter of a minute a seed and size
    "collect": (2000, 10),
    "judge": (2000, 10),
    "tables": (2000, 10),
    "figures": (2000, 15),
    "report": (2000, 10),
    "describe": (1000, 5),  # 30 MB, a second
    # A step of training keeps all activations; the default takes eight minutes.
    "speed": (16000, 180),
    "evaluate": (16000, 720),  # 50,000 images through the largest models, on a CPU
    "insight": (8000, 120),
    "inside": (4000, 60),
}
# By scale: all seeds of an arm, one after the other. A DETR on digits takes four minutes a seed, 300 epochs of ImageNet
# weeks; what a scheduler kills goes on.
NEEDS_OF_TRAINING = {
    "smoke": (4000, 60),
    "laptop": (4000, 240),
    "study": (4000, 240),
    "gpu": (16000, 1440),
    "full": (64000, 20160),
}
RESOURCES = {
    name: {"mem_mb": mem_mb, "runtime": runtime}
    for name, (mem_mb, runtime) in [
        *NEEDS.items(),
        ("training", NEEDS_OF_TRAINING[PLAN.scale]),
    ]
}
