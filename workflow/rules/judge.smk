rule judge:
    """Published against measured: a verdict per number, a status per claim."""
    input:
        rules.published.output,
        rules.collect.output,
        rules.controls.output if PLAN.scale == "study" and PLAN.runs else [],
    output:
        verdicts=report(
            f"{RESULTS}/verdicts.csv",
            caption="../report/verdicts.rst",
            category="Verdicts",
            labels={"file": "Every number"},
        ),
        claims=report(
            f"{RESULTS}/claims.csv",
            caption="../report/claims.rst",
            category="Verdicts",
            labels={"file": "Every claim"},
        ),
        witnesses=expand(
            f"{RESULTS}/{{name}}.csv",
            name=["witnesses", "turned_orders", "printed_effects", "scale_agreement"],
        ),
        speeds=expand(
            f"{RESULTS}/speed/{{name}}.csv",
            name=["relative", "orders", "stability", "stack_orders", "stack_flips"],
        ),
        manifests=expand(
            f"{RESULTS}/{{name}}.json",
            name=[
                "verdicts",
                "claims",
                "witnesses",
                "turned_orders",
                "printed_effects",
                "scale_agreement",
                "speed/relative",
                "speed/orders",
                "speed/stability",
                "speed/stack_orders",
                "speed/stack_flips",
            ],
        ),
    log:
        f"{RESULTS}/logs/judge.log",
    conda:
        "../envs/replication.yaml"
    resources:
        **RESOURCES["judge"],
    params:
        sources=digests.digest_command("judge"),
        results=subpath(output.verdicts, parent=True),
    shell:
        "python -m replication judge --results {params.results:q} 2> {log:q}"
