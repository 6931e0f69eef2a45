# The way in. A fresh machine needs Python 3.11 to 3.14, make and git; the rest is fetched or built here, pinned,
# without root, kept in a per-user cache, and not done twice.
.DEFAULT_GOAL := help
.PHONY: help setup check test test-fast test-root test-datastores demo up soak bench budget docs kind-up kind-down e2e e2e-all e2e-build uv servers tools scan

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/agent-datastores
UV_VERSION := 0.13.9
UV_HOME := $(CACHE)/uv-$(UV_VERSION)
# Exported: infra/supply/go_toolchain.py installs a Go toolchain with the same uv.
export UV := $(UV_HOME)/uv
# The machine's own Python is used: uv would otherwise download one where it finds none.
export UV_PYTHON_DOWNLOADS := never
# A virtual environment that happens to be active is somebody else's.
unexport VIRTUAL_ENV UV_PROJECT_ENVIRONMENT

SUPPORTED := import sys; (3, 11) <= sys.version_info[:2] < (3, 15) or sys.exit(1)
# The one that .venv was made with, so that another PATH does not remake it; python3 where it is new enough; else the
# newest python3.N that is. `make … PYTHON=/path/to/python3` names another.
PYTHON ?= $(shell for p in .venv/bin/python python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c '$(SUPPORTED); import os; print(os.path.realpath(sys.executable))' 2>/dev/null && break; done)
RUN := .venv/bin/python

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: uv ## Install the pinned Python packages into .venv
	@"$(UV)" sync --frozen --python "$(PYTHON)"

check: setup scan ## Formatting, lint, types, which room imports which, lock file, alerts and dashboards, what is insecure in charts and images
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy
	.venv/bin/lint-imports --no-logo --no-cache
	"$(UV)" lock --check --python "$(PYTHON)"
	.venv/bin/hadolint docker/agent/Dockerfile
	$(RUN) -m infra.monitoring check
	$(RUN) -m pytest -q tests/monitoring

# One a core: the tests wait, but what they start computes. ARGS="-n0 …" runs them in one, as `pytest` by itself does.
SIDE_BY_SIDE := -n 2 --dist loadgroup
test: setup servers tools ## Unit and integration tests (ARGS="-k budget" picks some)
	@$(RUN) -m pytest $(SIDE_BY_SIDE) $(ARGS)

test-fast: setup tools ## Those of arithmetic, charts and policy, which need no server
	@$(RUN) -m pytest $(SIDE_BY_SIDE) -m "not integration" tests/unit tests/charts tests/infra $(ARGS)

test-root: setup servers ## Those that others skip for want of root, as root
	@$(RUN) -m pytest -m needs_root $(ARGS)

test-datastores: setup servers ## Every datastore's promises against its real server; Weaviate's build takes minutes
	@$(RUN) -m infra.supply.binaries weaviate
	@$(RUN) -m pytest tests/conformance -m datastores $(ARGS)

demo: setup servers ## Real calls on this machine, then a report ([CALLS=n] [SLOTS=n] [WORKERS=n] [DATASTORES=names])
	@$(RUN) -m infra.local demo $(if $(DATASTORES),--datastores "$(DATASTORES)") $(if $(CALLS),--calls $(CALLS)) $(if $(SLOTS),--slots $(SLOTS)) $(if $(WORKERS),--workers $(WORKERS))

up: setup servers ## The whole stack on this machine, with a live table, until Ctrl-C
	@$(RUN) -m infra.local up

# Both halves run even if the first finds something, and write what they found beside each other and into the docs.
soak: setup servers ## Every fault, then short real jobs by the thousand, some killed ([JOBS=n] [KILL=10%] [MINUTES=n] [REMARK=…])
	@export FAULTS_OUTPUT=build/soak-$$(date +%Y%m%d-%H%M%S) FAULTS_DOCS=tests/faults/README.md FAULTS_REMARK="$(REMARK)"; status=0; \
	$(RUN) -m pytest tests/faults -m "integration or soak" $(ARGS) || status=1; \
	$(RUN) -m tests.faults.soak --output "$$FAULTS_OUTPUT" --docs tests/faults/SOAK.md \
		$(if $(JOBS),--jobs $(JOBS)) $(if $(KILL),--kill $(KILL)) $(if $(MINUTES),--minutes $(MINUTES)) --remark "$(REMARK)" || status=1; \
	exit $$status

bench: setup servers ## The solver against 10 000 random fleets; the agent against what people do today (half an hour)
	@$(RUN) -m tests.model --docs
	@$(RUN) -m tests.benchmarks --docs $(ARGS)

# OFFLINE=1, as root: for machines that reach no container registry; infra/supply/README.md says what is built then.
kind-up: setup ## A kind cluster with the whole stack, until a first call is answered ([OFFLINE=1])
	@$(RUN) -m infra.kind up

kind-down: setup ## Remove that cluster, and the Docker Engine where it was started for it
	@$(RUN) -m infra.kind down

# A cluster of its own, kept for the next run: KIND_CLUSTER=agent-datastores-e2e make kind-down removes it.
e2e: export KIND_CLUSTER ?= agent-datastores-e2e
e2e: setup ## Rollouts, chaos, isolation on a kind cluster, callers outside it ([OFFLINE=1] [ARGS="-k rolling_strict"])
	@$(RUN) -m pytest tests/cluster -m "cluster and not extended" -q --durations=0 --durations-min=5 $(ARGS)

e2e-all: export KIND_CLUSTER ?= agent-datastores-e2e
e2e-all: setup ## Those and every further scenario; without ARGS it writes what was seen into tests/cluster/README.md
	@$(if $(ARGS),,E2E_DOCS=tests/cluster/README.md) $(RUN) -m pytest tests/cluster -m cluster -q --durations=0 --durations-min=5 $(ARGS)

e2e-build: setup ## What `make e2e` builds before its first scenario, without a cluster ([OFFLINE=1])
	@$(RUN) -m infra.kind build

STACK ?= infra/Pulumi.local.yaml
budget: setup ## Where every connection goes ([STACK=file] [JOBS=n] [PLAN=name] [WHATIF="key=value ..."] [FROM=file] [VALUES=dir])
	@$(RUN) -m infra.budget $(STACK) $(if $(JOBS),--jobs $(JOBS)) $(if $(PLAN),--plan $(PLAN)) $(foreach change,$(WHATIF),--what-if '$(change)') \
		$(if $(FROM),--from $(FROM)) $(if $(PICTURES),--pictures $(PICTURES)) $(if $(VALUES),--values "$(VALUES)") $(ARGS)

docs: setup tools ## Write anew what is generated: the charts' READMEs, dashboards, figures of the runbooks
	@$(RUN) -m tests.charts.docs
	@$(RUN) -m infra.monitoring write

servers: setup
	@$(RUN) -m infra.supply.lock_groups secantusdb
	@$(RUN) -m infra.supply.binaries

# What the tests of charts, alerts and dashboards render and check with.
tools: setup
	@$(RUN) -m infra.supply.binaries helm helm-docs kubeconform promtool grafana-schema
	@$(RUN) -m tests.charts.schemas

# checkov's pins fit with nobody else's: an environment of its own, in the cache.
SCAN := $(CACHE)/scan
scan: setup tools
	@UV_PROJECT_ENVIRONMENT="$(SCAN)" "$(UV)" sync --quiet --frozen --only-group scan --python "$(PYTHON)"
	@$(RUN) -m tests.charts.scan "$(SCAN)/bin/checkov"

# Installed into a directory of its own, then moved into place in one step: two runs at once do no harm.
uv:
	@[ -x "$(UV)" ] && exit 0; set -e; \
	python='$(PYTHON)'; \
	if ! "$${python:-false}" -c '$(SUPPORTED)' 2>/dev/null; then \
		echo "Python 3.11 to 3.14 is needed$${python:+, and $$python is not one}." >&2; \
		echo "Install it (Debian, Ubuntu: sudo apt install python3 python3-venv; Fedora: sudo dnf install python3;" >&2; \
		echo "macOS: brew install python@3.13) or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$$python cannot make virtual environments: its venv module is packaged apart." >&2; \
		"$$python" -c 'import sys; print("Debian, Ubuntu: sudo apt install python%d.%d-venv" % sys.version_info[:2])' >&2; exit 1; \
	fi; \
	echo "uv $(UV_VERSION): installing"; \
	mkdir -p "$(UV_HOME)"; \
	work=$$(mktemp -d "$(UV_HOME)/install.XXXXXX"); trap 'rm -rf "$$work"' EXIT; \
	"$$python" -m venv "$$work"; \
	"$$work/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: uv==$(UV_VERSION) || { \
		echo "uv $(UV_VERSION) could not be installed: network? Behind a proxy, pip's own settings apply (PIP_INDEX_URL, PIP_CERT)." >&2; exit 1; }; \
	mv -f "$$work/bin/uv" "$(UV)"
