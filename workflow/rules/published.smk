rule published:
    """Every number the papers print, as one tidy table."""
    input:
        sources("papers", "transcript", "records"),
    output:
        f"{RESULTS}/published.csv",
    log:
        f"{RESULTS}/logs/published.log",
    conda:
        "../envs/replication.yaml"
    shell:
        "python -m replication published --out {output:q} 2> {log:q}"
