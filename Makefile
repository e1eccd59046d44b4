# Python 3.11 or newer and make are all that is needed; the rest is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A file's tests share a process, and so the servers they start. (pytest-xdist 3.8 ignores its groups on pytest 9.2.)
# In the order of the folders: by itself it begins with the files of the most tests, and the long ones, which have few,
# would be waited for at the end.
PYTEST := $(BIN)/python -m pytest
PARALLEL ?= -n 4 --dist loadfile --no-loadscope-reorder
REDIS_TESTS ?= tests/integration tests/faults

.DEFAULT_GOAL := help
.PHONY: help venv demo up test test-redis test-foreign lint format soak bench-batch bench-stream cost-model check-deploy lock clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(VENV)/.stamp ## install everything into .venv (done by the other targets when needed)

# The packages, exactly those of the lock.
$(VENV)/.packages: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)
	@echo "Installing $$(grep -c == requirements.lock) packages, checked against requirements.lock (a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

# The checkout itself, editable; what builds it comes from the lock, so nothing else is fetched.
$(VENV)/.stamp: $(VENV)/.packages pyproject.toml
	@echo "Installing the checkout itself"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(VENV)/.stamp ## run the main job in front of your eyes, faults included; ends by itself
	@$(BIN)/python examples/demo.py

up: $(VENV)/.stamp ## start Redis, workers and what else is missing, and keep them running
	@$(BIN)/python -m workers.up

# Some tests need redis-server, rabbitmq-server, promtool or chromium on the machine: without it they are skipped, and say
# so (-rs lists them); with CI set they fail.
test: lint ## run every check and every test
	@$(PYTEST) $(PARALLEL)

test-redis: $(VENV)/.stamp ## run the integration tests on the redis-server that is installed
	@UNDERSTUDY_TEST_REDIS=redis $(PYTEST) $(PARALLEL) $(REDIS_TESTS)

lint: $(VENV)/.stamp ## check style, types, who imports whom, and the lock
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { echo "make format puts it right"; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@! grep -nE '://|--(index|extra-index|find-links|trusted-host)' requirements.lock

format: $(VENV)/.stamp ## put formatting and imports in order
	@$(BIN)/ruff check --quiet --fix --exit-zero
	@$(BIN)/ruff format

soak: $(VENV)/.stamp ## run the tests of load and outage at full size and print their figures
	@UNDERSTUDY_SOAK=1 $(PYTEST) -m soak -s --timeout 3600

bench-batch: $(VENV)/.stamp ## measure a batch job: rows each second, memory, what live calls notice (20 min; UNDERSTUDY_SMS names the messages)
	@$(BIN)/python -m benchmarks.batch

bench-stream: $(VENV)/.stamp ## measure 200 streams at once through one worker process
	@$(BIN)/python -m benchmarks.stream $(BENCH)

test-foreign: $(VENV)/.stamp ## run the tests against servers that are not ours (installs LiteLLM into .cache, once)
	@UNDERSTUDY_TEST_FOREIGN=1 $(PYTEST) tests/integration/test_foreign_server.py

cost-model: $(VENV)/.stamp ## print what a month costs, by how often the free provider is there
	@$(BIN)/python -m benchmarks.cost_model

check-deploy: $(VENV)/.stamp ## check image, compose file, manifests, alerts and dashboard, without a container engine
	@$(PYTEST) -v tests/deploy tests/unit/test_deployed_metrics.py

# Resolved against the public index alone, whatever pip is set to on this machine: hashes must hold everywhere.
lock: $(VENV)/.packages ## resolve all dependencies anew into requirements.lock
	@env -u PIP_FIND_LINKS -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL -u PIP_TRUSTED_HOST PIP_CONFIG_FILE=/dev/null \
	  $(BIN)/python -m piptools compile --quiet --upgrade --all-extras --generate-hashes --allow-unsafe --strip-extras \
	  --no-annotate --no-header --no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  --output-file requirements.lock pyproject.toml

clean: ## remove .venv and everything else that make or the tests have made
	@rm -rf $(VENV) .run .cache .artifacts build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
