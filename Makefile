# Everything a person or CI does with this project. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
PY := $(VENV)/bin/python
RUN := PYTHONPATH=tests $(PY)
PYTEST := $(VENV)/bin/pytest
CLUSTER ?=
BENCH ?= operator
export CLUSTER

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.synced ## Python environment from uv.lock

$(VENV)/.synced: uv.lock pyproject.toml
	@command -v uv >/dev/null || python3 -m pip install --quiet --break-system-packages uv || python3 -m pip install --quiet uv
	@uv sync --frozen --all-extras --all-groups
	@touch $@

fmt: setup ## Format and fix
	@$(VENV)/bin/ruff check --fix --quiet . || true
	@$(VENV)/bin/ruff format .

lint: setup ## Style, types, layers, generated files
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check --quiet .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(PY) -m flagscale_api.crdgen --check
	@$(PY) -m flagscale_operator.kube.rbac --check

crds: setup ## Generate the CRDs and the chart's RBAC from the code
	@$(PY) -m flagscale_api.crdgen
	@$(PY) -m flagscale_operator.kube.rbac

unit: setup ## Pure code, in seconds
	@$(PYTEST) -n 2 --dist worksteal tests/unit

training: setup ## Real training processes: killed, resumed, two ranks
	@$(PYTEST) -n 2 --dist loadfile tests/training

apiserver: setup ## Against a real API server (no node)
	@$(PYTEST) -n 2 --dist loadfile tests/apiserver

chart: setup ## Helm charts
	@$(PYTEST) tests/chart

serving: setup ## The gateway over simulated engines: faults, load, hostile clients
	@$(PYTEST) tests/serving

collaboration: setup ## Agents that work together, over both stores: killed, restarted, clocks wrong
	@$(PYTEST) -n 2 --dist loadfile tests/collaboration

fuzz: setup ## Over 5,000 generated requests at the gateway
	@FUZZ_EXAMPLES=1250 $(PYTEST) -s tests/serving/test_hostile_clients.py -k generated

tools: setup ## The service that finds and calls tools: real HTTP, real MCP servers, faults, load
	@$(PYTEST) -n 2 --dist loadfile tests/tools

engines: setup ## One conformance suite over all engines, real ones in their own environments
	@$(PYTEST) tests/engines

e2e: setup install ## Real cluster, real pods, real training
	@$(PYTEST) tests/e2e

test: lint unit training apiserver chart serving tools collaboration engines e2e ## All of the above

cluster-up: setup ## A real Kubernetes with training-operator and KubeRay
	@$(RUN) -m support.cluster up

cluster-down: setup ## Stop it and remove its traces
	@$(RUN) -m support.cluster down

cluster-status: setup ## What runs
	@$(RUN) -m support.cluster status

images: setup ## Build the images (only what changed) and load them into the cluster, in place of older ones
	@$(RUN) -m support.images prune all

install: cluster-up images ## Charts into the cluster
	@$(RUN) -m support.demo install

run: setup ## The samples without a cluster: train, serve, chat, find a tool, on this machine
	@$(RUN) -m support.journey

demo: install ## kubectl apply -f trainjob.yaml, followed to its end
	@$(RUN) -m support.demo run

bench: setup ## Figures: make bench BENCH=operator
	@PYTHONPATH=tests $(PY) -m perf.$(BENCH)

.PHONY: help setup fmt lint crds unit training apiserver chart serving fuzz tools collaboration engines e2e test \
	cluster-up cluster-down cluster-status images install run demo bench
