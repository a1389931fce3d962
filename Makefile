# What there is to do: `make help`. Everything that is needed is fetched on the way, into .venv and .tools.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run call test test-fast chaos fuzz bench soak check docs docs-reference format clean

PYTHON := .venv/bin/python
# Ends in a terminal and in CI alike: pytest's own options come through, `make test PYTEST="-k lease -x"`.
PYTEST ?=

help: ## Show this.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: venv asterisk ## Set up what is missing and run the whole system until Ctrl-C.
	@RENTED_NUMBERS_PROFILE=$${RENTED_NUMBERS_PROFILE:-demo} exec $(PYTHON) -m engine run

call: venv phones ## Beside a running system: one real call, from booking to callback, shown step by step.
	@RENTED_NUMBERS_PROFILE=$${RENTED_NUMBERS_PROFILE:-demo} exec $(PYTHON) -m phones.demo_call

test: venv asterisk phones fail2ban browser clients ## Everything: unit, contract, integration, and end-to-end over real Asterisk and SIP telephones.
	$(PYTHON) -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(PYTEST)

test-fast: venv ## What needs neither Asterisk nor telephones.
	$(PYTHON) -m pytest tests/unit tests/contract $(PYTEST)

chaos: venv asterisk phones ## Ten minutes of calls with 200 kill -9 of the engine and 20 of Asterisk, then an audit. CHAOS="--seed 7 …"
	$(PYTHON) -m tests.chaos $(CHAOS)

COUNT ?= 100000
RATE ?= 200
SEED ?= 1
fuzz: venv asterisk phones ## Mutated INVITEs against Asterisk, good calls beside them: COUNT=100000 RATE=200 SEED=1.
	$(PYTHON) -m tests.fuzz --count $(COUNT) --rate $(RATE) --seed $(SEED)

BENCH ?=
bench: venv $(if $(findstring asterisk,$(BENCH)),asterisk phones) ## What a call costs, beside other designs and what the machine allows: BENCH="calls one slow memory api open million asterisk".
	$(PYTHON) -m bench $(BENCH)

SOAK ?=
soak: venv ## An hour at 5 calls/s, and whether memory, tasks, sockets or rows grew: SOAK="--minutes 60 --rate 5".
	$(PYTHON) -m tests.soak $(SOAK)

check: venv ## ruff, mypy strict, import-linter, generated documents: what CI runs before the tests.
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PYTHON) -m docs.generate --check

docs: venv ## Build all documents into a site with search: site/index.html.
	$(PYTHON) -m docs.generate.site

docs-reference: venv ## Write the documents that are generated from the code.
	$(PYTHON) -m docs.generate

format: venv ## Let ruff lay out the code.
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

clean: ## Forget all state: database, secrets, Asterisk's files. Refused while the system is running.
	@if [ -x $(PYTHON) ]; then exec $(PYTHON) -m engine clean --yes; \
	elif [ -e var ]; then echo "There is no .venv to ask whether a system is running: make venv first" >&2; exit 1; fi

.PHONY: venv asterisk phones fail2ban browser clients
venv:
	@deploy/venv.sh
asterisk:
	@deploy/tools.sh asterisk
phones:
	@deploy/tools.sh phones
fail2ban:
	@deploy/tools.sh fail2ban
browser:
	@deploy/tools.sh browser
clients: venv
	@deploy/tools.sh clients
