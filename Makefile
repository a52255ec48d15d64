# `make dev` and `make test` need Python 3.11+ and make, nothing else.

.PHONY: help dev test tests check aside install lock migration pages faults soak differential mutation bench clean environment
.DEFAULT_GOAL := help

# The interpreter that makes .venv: name one with `make PYTHON=/path/to/python3 dev`.
PYTHON ?=
RUN := .venv/bin/python
# Run through the interpreter: a script's first line may not be longer than the kernel allows.
NUDGE := $(RUN) .venv/bin/nudge
# Processes that run the tests, each with servers of its own: `make test WORKERS=4`; with 0 they run in one process.
WORKERS ?= auto
TEST := $(RUN) -m pytest -n $(WORKERS) --dist worksteal
# Thousands of examples instead of fifty, see tests/properties.py.
AT_LENGTH := --hypothesis-profile=long

help: ## List the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

dev: environment web/node_modules/.package-lock.json ## Start everything on this machine: servers, sandbox, API, workers
	@exec $(NUDGE) dev

test: environment web/node_modules/.package-lock.json tests/node/node_modules/.package-lock.json tests/node/compilers/node_modules/.package-lock.json ## All checks and tests, side by side, on servers of their own
	@$(MAKE) --no-print-directory --keep-going -j2 tests aside || \
		{ echo "make test: the checks or the tests failed: see above, or run \`make check\` or \`make tests\` alone" >&2; exit 1; }

tests: environment ## Only the tests
	$(TEST) -m "not slow"

# The output of the checks is printed at once, not between the lines of the tests.
aside:
	@said=$$($(MAKE) --no-print-directory check 2>&1); ended=$$?; printf '\n%s\n' "$$said"; exit $$ended

check: environment ## Lint, format, types, import rules, exported schema
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy .
	.venv/bin/lint-imports
	$(NUDGE) schema check

faults: environment ## Kill workers and servers at every point of sending, and explore many orders of steps
	$(TEST) -m faults $(AT_LENGTH)

soak: environment ## Open and drop hundreds of subscriptions
	$(RUN) -m pytest -m soak $(AT_LENGTH)

differential: environment ## Property tests with many examples: compiled code against its reference, and all others
	$(TEST) -m "differential or (hypothesis and not faults)" $(AT_LENGTH)

mutation: environment ## Change single lines and list those that no test notices, e.g. make mutation PATHS="core/leases.py" COUNT=10
	PYTHONPATH=packages $(RUN) -m tests.mutation $(PATHS) $(if $(TESTS),--tests $(TESTS)) $(if $(BASE),--base $(BASE)) \
		$(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS)) \
		$(if $(FAIL_UNDER),--fail-under $(FAIL_UNDER)) $(if $(filter-out auto,$(WORKERS)),--workers $(WORKERS))

bench: environment ## Run the benchmarks; each prints its results side by side
	@for name in rendering sending sweeping contacts_query compiled_operations graphql fanout; do \
		echo "== $$name" && $(RUN) -m "benchmarks.$$name" || exit 1; \
	done

install: ## Install a production into PREFIX, e.g. make install PREFIX=/opt/nudgecampaign
	@[ -n "$(PREFIX)" ] || { echo "name the folder: make install PREFIX=/opt/nudgecampaign" >&2; exit 1; }
	@PYTHONPATH=packages exec "$(or $(PYTHON),python3)" -m local.install --into "$(PREFIX)"

migration: environment ## Write a new migration, e.g. make migration name="Archive campaigns"
	@exec $(RUN) -m migrations.new "$(name)"

pages: environment ## Regenerate the parts of README and docs/ that are printed from the code
	@$(RUN) -m tests.documents.generated

lock: ## Update the lock files (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv on the PATH (for one: pipx install uv)"; exit 1; }
	UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --universal --python-version 3.11 --generate-hashes \
		--no-annotate --no-emit-index-url --quiet pyproject.toml -o requirements/app.lock
	UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --universal --python-version 3.11 --generate-hashes \
		--no-annotate --no-emit-index-url --quiet --extra dev -c requirements/app.lock pyproject.toml -o requirements/dev.lock

clean: ## Remove .venv and caches; the data in .nudge/ stays
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .mutation_cache web/node_modules tests/node/node_modules tests/node/compilers/node_modules benchmarks/peers/node_modules
	find . -name __pycache__ -not -path './.nudge/*' -prune -exec rm -rf {} +

environment:
	@if [ -n "$(PYTHON)" ]; then \
		"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
			{ echo "PYTHON=$(PYTHON) is not a usable Python 3.11 or newer" >&2; exit 1; }; \
		exec env PYTHONPATH=packages "$(PYTHON)" -m local.environment --this-python; \
	fi; \
	for python in .venv/bin/python python3.13 python3.12 python3.11 python3; do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			exec env PYTHONPATH=packages "$$python" -m local.environment; \
		fi; \
	done; \
	echo "Python 3.11 or newer is required: install it, or name one: make PYTHON=/path/to/python3 dev" >&2; exit 1

# Node is optional: without it GraphiQL comes from a CDN, and the tests that need it are skipped.
%/node_modules/.package-lock.json: %/package-lock.json
	@if ! command -v npm >/dev/null; then \
		echo "No npm on the PATH: continuing without the packages of $*."; \
		echo "GraphiQL then comes from a CDN, which needs the internet, and tests that need Node are skipped."; \
	else \
		echo "installing the packages of $* (npm)"; \
		(cd $* && npm ci --no-audit --no-fund --no-update-notifier --loglevel=error && touch node_modules/.package-lock.json) \
			|| echo "npm could not install $*: continuing without"; \
	fi
