rule departures:
    """How far timm's defaults are from the released models."""
    input:
        sources("models", "files"),
    output:
        f"{RESULTS}/departures.csv",
    log:
        f"{RESULTS}/logs/departures.log",
    conda:
        "../envs/replication.yaml"
    shell:
        "python -m replication departures --out {output:q} 2> {log:q}"
