TRAINING = f"{RESULTS}/training/{{experiment}}/{{arm}}"
ONE_BY_ONE = PLAN.scale == "study"  # a job a seed, for a seed takes minutes
LOG = "{arm}.seed{seed}.log" if ONE_BY_ONE else "{arm}.log"


rule training:
    """One arm of an experiment, with every seed or, in a study, one of them; a killed run goes on where it was saved last."""
    input:
        data=lambda wildcards: ancient(
            PLAN.list_fetched(wildcards.experiment, wildcards.arm)
        ),
        start=lambda wildcards: PLAN.list_start_weights(
            wildcards.experiment, wildcards.arm, wildcards.get("seed")
        ),
        teacher=lambda wildcards: PLAN.list_teacher_weights(
            wildcards.experiment, wildcards.arm, wildcards.get("seed")
        ),
    output:
        expand(
            f"{TRAINING}/seed{{seed}}/{{file}}",
            seed="{seed}" if ONE_BY_ONE else range(PLAN.seeds),
            file=[
                "epochs.csv",
                "test.csv",
                "answers.csv",
                "weights.safetensors",
                "manifest.json",
            ],
            allow_missing=True,
        ),
    log:
        f"{RESULTS}/logs/training/{{experiment}}/{LOG}",
    conda:
        "../envs/replication.yaml"
    threads: PLAN.processes
    resources:
        **RESOURCES["training"],
        gpu=PLAN.processes * (PLAN.device != "cpu"),
    params:
        sources=digests.digest_command("training", cards=False),
        contents=lambda wildcards: digests.digest_contents(
            PLAN, wildcards.experiment, wildcards.arm
        ),
        scale=PLAN.scale,
        device=PLAN.device,
        launcher=options.write_launcher(PLAN),
        seeds=lambda wildcards: wildcards.get("seed", list(range(PLAN.seeds))),
        out=TRAINING,
        checkpoints=f"{RESULTS}/checkpoints",
        root=PLAN.data["root"],
        stage=options.write_stage_option(PLAN),
        corrupt=PLAN.data["corrupt"],
        others=lambda wildcards: options.write_arm_options(
            PLAN, wildcards.experiment, wildcards.arm
        ),
        changes=lambda wildcards: options.write_recipe_options(
            PLAN, wildcards.experiment
        ),
        digest=lambda wildcards: digests.digest_experiment(PLAN, wildcards.experiment),  # trained again when the recipe changes
    shell:  # instead of the shell, so that SIGTERM reaches it
        "exec {params.launcher} -m replication training --experiment {wildcards.experiment} --arm {wildcards.arm}"
        " --seeds {params.seeds} --scale {params.scale} {params.changes} --device {params.device} {params.others}"
        " --data {params.root:q} {params.stage} --corrupt {params.corrupt} --checkpoints {params.checkpoints:q} --out {params.out:q} 2> {log:q}"


use rule training as training_of_detectors with:
    wildcard_constraints:
        experiment="detr_.*",
    priority: 1  # the longest first, or they are what is left on one core


ruleorder: training_of_detectors > training
