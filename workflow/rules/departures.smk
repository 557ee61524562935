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
        sources=digests.digest_command("departures", cards=False),
        digest=digests.digest_architectures(),
    shell:
        "python -m replication departures --out {output.csv:q} 2> {log:q}"
