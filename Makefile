# One verb each. `make` alone lists them. A fresh Debian 12 with python3, git and make is enough.
SHELL := /bin/bash
BIN := .venv/bin
SETUP := .venv/.complete
PROXY := haproxy
SEEDS := 1-20000
# What tests leave goes with their run (each Consul leaves /tmp/consul-test); short, for the sockets in it.
PYTEST = scratch=$$(mktemp -d /tmp/bgd.XXXX) && chmod 1777 $$scratch && \
	trap 'rm -rf "$$scratch"; rmdir /tmp/consul-test 2>/dev/null' EXIT && \
	TMPDIR=$$scratch $(BIN)/pytest --basetemp=$$scratch/t

.PHONY: help setup parts test check demo simulate bench soak clean

help: ## list these verbs
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(SETUP) ## .venv with bgd, bgctl and the tools of the checks

$(SETUP): pyproject.toml tools/get-venv
	@tools/get-venv .venv

parts: ## a real Consul, HAProxy and nginx: those on PATH, else unpacked into .parts
	@tools/get-consul
	@tools/get-haproxy
	@tools/get-nginx

demo: setup parts ## the whole story on this machine, under load; PROXY=nginx tells it on nginx
	@$(BIN)/bgctl demo --proxy $(PROXY)

test: setup parts ## all tests but the long ones
	@tools/get-systemd-analyze
	@tools/get-docker
	@$(PYTEST) -m "not soak" -n 2 --dist loadscope

soak: setup parts ## the long tests
	@$(PYTEST) -m soak --timeout 3600 -s

check: setup ## style, types, and which module may import which
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

simulate: setup ## storms over the decisions on all cores; SEEDS=FROM-TO, or one seed to replay it
	@PYTHONPATH=. $(BIN)/python -m tests.simulation $(SEEDS)

bench: setup parts ## bgd beside the least possible follower, as ratios
	@PYTHONPATH=. $(BIN)/python -m bench
	@PYTHONPATH=. $(BIN)/python -m bench --fleet

clean: ## remove what these verbs made
	rm -rf .venv .parts dist build bench/out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
