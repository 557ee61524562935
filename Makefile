# Two commands: `make reproduce` (the results) and `make test` (the tests). `make` alone lists all.
PYTHON ?= python3
CORES ?= all
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHONPATH := $(CURDIR)
# A module stays in one process, as its fixtures do; tests/conftest.py says which module begins.
PARALLEL := python -m pytest -n auto --dist loadscope --no-loadscope-reorder

.PHONY: help declared reproduce gpu smoke test test-quick check check-snapshot lock snapshot verify publish clean

help:  ## list these commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

reproduce: $(VENV)/ready  ## measure, train, judge and draw everything at laptop scale
	snakemake --cores $(CORES)

gpu: $(VENV)/ready  ## an evening of one GPU (docs/forecasts.md); what was timed is published under the machine's name
	snakemake --cores $(CORES) --configfile config/gpu.yaml
	python -m replication snapshot --timings-of results/gpu

smoke: $(VENV)/ready  ## the same workflow in a few minutes, on four models
	snakemake --cores $(CORES) --configfile config/smoke.yaml

test: $(VENV)/ready  ## run all tests, on every core; last, those that need the machine to themselves
	$(PARALLEL) -m "not alone and not snapshot and not slurm"
	python -m pytest -m alone

test-quick: $(VENV)/ready  ## run the tests that take no longer than a moment each, and say which are left out
	$(PARALLEL) -m "not slow and not alone and not snapshot and not slurm"

check: $(VENV)/ready  ## formatting, lint, types and architecture
	ruff format --check .
	ruff check .
	mypy
	lint-imports
	snakefmt --check Snakefile workflow
	snakemake --lint

check-snapshot: $(VENV)/ready  ## test that the published results are what the cards and the README say
	python -m pytest -m snapshot tests/test_reference.py

lock:  ## resolve the pins again (needs uv), then copy the direct ones into the two environment files
	uv pip compile pyproject.toml --extra test --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-annotate --custom-compile-command "make lock" --quiet -o requirements.lock
	$(PYTHON) tests/workflow/pins.py --write

docs/forecasts.md: config/config.yaml config/gpu.yaml config/full.yaml
	@set -e; { printf '%s\n\n' '# What runs take' "\`make $@\` writes this page: \`replication plan\` for the default, one GPU, and the released weights. Hours in brackets are the least and the most; \`replication/forecast/rates.py\` says where the rates come from. The published run calibrates those of a core; those of a GPU are printed or assumed, and nothing was run on one."; \
	for scale in config gpu full; do printf '\n## %s\n\n' "config/$$scale.yaml"; python -m replication plan --cores 2 --configfile config/$$scale.yaml; done; \
	printf '\n## %s\n\n' "config/full.yaml with the papers' own trainings: --config experiments=all"; python -m replication plan --cores 2 --configfile config/full.yaml --config experiments=all; } > $@.tmp
	@mv $@.tmp $@

docs/data.md: replication/records/rows.py replication/records/description.py
	python -m replication describe --page $@

declared:  ## record the commits that declared the ranges of claims, after they are committed
	$(PYTHON) tests/papers/declare.py

docs/old_verdicts.md: results/reference/claims.csv $(wildcard replication/papers/*.py)
	python tests/papers/old_verdicts.py

docs/fairness.md: $(wildcard replication/papers/*.py)
	python tests/papers/fairness.py

config/README.md: workflow/schemas/config.schema.yaml tests/plan/keys.py
	python tests/plan/keys.py --write

# What is the same on every machine, to the byte.
EXACT := counts memory mechanisms
VERIFIED := results/verified

verify: $(VENV)/ready  ## count again what results/reference publishes of counts, and say whether it holds
	snakemake --cores $(CORES) --config results=$(VERIFIED) -- $(EXACT:%=$(VERIFIED)/complexity/%.csv)
	@for name in $(EXACT); do diff --brief results/reference/complexity/$$name.csv $(VERIFIED)/complexity/$$name.csv || exit 1; done
	@echo "results/reference holds: its $(EXACT) are what this machine counts, to the byte"

publish: $(VENV)/ready  ## write the results as a folder for an archive such as Zenodo, with checksums
	python -m replication publish --out dist/vision-transformer-replication

snapshot: reproduce  ## publish the present results as results/reference
	python -m replication snapshot
	$(MAKE) docs/old_verdicts.md

clean:  ## remove generated results, not the published snapshot
	find results -mindepth 1 -maxdepth 1 ! -name reference -exec rm -r {} +

# Built under another name first: an interrupted installation is never mistaken for a finished one.
$(VENV)/ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; try: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	touch $@
