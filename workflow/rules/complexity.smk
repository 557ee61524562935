rule complexity_count:
    """Parameters, multiply-adds three ways and peak memory of one paper's models, or (`own`) of the user's."""
    output:
        counts=f"{RESULTS}/complexity/{{paper}}/counts.csv",
        memory=f"{RESULTS}/complexity/{{paper}}/memory.csv",
        manifests=expand(
            f"{RESULTS}/complexity/{{paper}}/{{name}}.json",
            name=["counts", "memory"],
            allow_missing=True,
        ),
    log:
        f"{RESULTS}/logs/complexity_count/{{paper}}.log",
    conda:
        "../envs/replication.yaml"
    resources:
        **RESOURCES["complexity_count"],
    params:
        sources=digests.digest_command("complexity count", cards=False),
        own=lambda wildcards: digests.digest_own(PLAN, wildcards.paper),
        models=lambda wildcards: PLAN.models[wildcards.paper],
        image_sizes=PLAN.sweep,
        batch_sizes=PLAN.batch_sizes,
        out=subpath(output.counts, parent=True),
        digest=lambda wildcards: digests.digest_variants(PLAN, wildcards.paper),  # counted again when an architecture changes
    shell:
        "python -m replication complexity count --models {params.models:q} --image-sizes {params.image_sizes} --printed"
        " --batch-sizes {params.batch_sizes} --out {params.out:q} > {log:q} 2>&1"


rule complexity_merge:
    """One table of counts over all papers."""
    input:
        counts=expand(f"{RESULTS}/complexity/{{paper}}/counts.csv", paper=PLAN.models),
        memory=expand(f"{RESULTS}/complexity/{{paper}}/memory.csv", paper=PLAN.models),
    output:
        counts=f"{RESULTS}/complexity/counts.csv",
        memory=f"{RESULTS}/complexity/memory.csv",
        manifests=expand(
            f"{RESULTS}/complexity/{{name}}.json", name=["counts", "memory"]
        ),
    log:
        f"{RESULTS}/logs/complexity_merge.log",
    conda:
        "../envs/replication.yaml"
    resources:
        **RESOURCES["complexity_merge"],
    params:
        sources=digests.digest_command("complexity merge", cards=False),
        folders=[f"{RESULTS}/complexity/{paper}" for paper in PLAN.models],
        out=subpath(output.counts, parent=True),
    shell:
        "python -m replication complexity merge --folders {params.folders:q} --out {params.out:q} 2> {log:q}"


rule complexity_mechanisms:
    """The attention mechanisms alone, at one width, over three decades of tokens."""
    output:
        csv=f"{RESULTS}/complexity/mechanisms.csv",
        manifest=f"{RESULTS}/complexity/mechanisms.json",
    log:
        f"{RESULTS}/logs/complexity_mechanisms.log",
    conda:
        "../envs/replication.yaml"
    resources:
        **RESOURCES["complexity_mechanisms"],
    params:
        sources=digests.digest_command("complexity mechanisms", cards=False),
    shell:
        "python -m replication complexity mechanisms --out {output.csv:q} 2> {log:q}"


rule complexity_scaling:
    """How cost grows with tokens: fitted exponents with intervals, and where attention takes over."""
    input:
        counts=rules.complexity_merge.output.counts,
        mechanisms=rules.complexity_mechanisms.output.csv,
    output:
        csv=f"{RESULTS}/complexity/scaling.csv",
        manifest=f"{RESULTS}/complexity/scaling.json",
    log:
        f"{RESULTS}/logs/complexity_scaling.log",
    conda:
        "../envs/replication.yaml"
    resources:
        **RESOURCES["complexity_scaling"],
    params:
        sources=digests.digest_command("complexity scaling", cards=False),
        digest=digests.digest_architectures(),
    shell:
        "python -m replication complexity scaling --counts {input.counts:q} --mechanisms {input.mechanisms:q}"
        " --out {output.csv:q} 2> {log:q}"


rule complexity_crossings:
    """Which model is cheaper at which image size."""
    input:
        counts=rules.complexity_merge.output.counts,
    output:
        csv=f"{RESULTS}/complexity/crossings.csv",
        manifest=f"{RESULTS}/complexity/crossings.json",
    log:
        f"{RESULTS}/logs/complexity_crossings.log",
    conda:
        "../envs/replication.yaml"
    resources:
        **RESOURCES["complexity_crossings"],
    params:
        sources=digests.digest_command("complexity crossings", cards=False),
        digest=digests.digest_architectures(),
    shell:
        "python -m replication complexity crossings --counts {input.counts:q} --out {output.csv:q} 2> {log:q}"
