rule departures:
    """How far timm's defaults are from the released models."""
    output:
        csv=f"{RESULTS}/departures.csv",
        manifest=f"{RESULTS}/departures.json",
    log:
        f"{RESULTS}/logs/departures.log",
    conda:
        "../envs/replication.yaml"
    resources:
        **RESOURCES["departures"],
    params:
        sources=digests.command_digest("departures", cards=False),
        digest=digests.architectures_digest(),
    shell:
        "python -m replication departures --out {output.csv:q} 2> {log:q}"
