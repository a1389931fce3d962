# `make help` lists the targets. Each target installs what it needs, into .venv and .tools.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run call cluster cluster-call cluster-chaos test test-fast test-phones chaos upgrade fuzz bench soak check docs docs-reference format pins deb release clean

PYTHON := .venv/bin/python
# Options for pytest, for example: make test PYTEST="-k lease -x"
PYTEST ?=

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: venv asterisk prompts ## Set up what is missing and run the whole system (Asterisk, engine, API) until Ctrl-C.
	@RENTED_NUMBERS_PROFILE=$${RENTED_NUMBERS_PROFILE:-demo} exec $(PYTHON) -m engine run

call: venv phones ## While `make run` runs in another terminal: make one real call, step by step; also CALL=press1, CALL=expired-prompt, CALL=reverse and CALL=pair.
	@RENTED_NUMBERS_PROFILE=$${RENTED_NUMBERS_PROFILE:-demo} exec $(PYTHON) -m phones.demo_call $(CALL)

cluster: venv ## Run PostgreSQL with a synchronous standby, two nodes and Kamailio on loopback addresses, until Ctrl-C.
	@$(MAKE) --no-print-directory --jobs 3 asterisk prompts postgresql kamailio
	@exec $(PYTHON) -m cluster

cluster-call: venv phones ## While `make cluster` runs: make calls through it, step by step, and show which node took each.
	@exec $(PYTHON) -m cluster.call

CLUSTER ?=
cluster-chaos: venv ## Kill, stop, suspend, cut off and promote the parts of a cluster under calls, then audit the books. CLUSTER="--seed 7 …", CLUSTER=--patroni
	@$(MAKE) --no-print-directory --jobs 3 asterisk phones postgresql kamailio $(if $(findstring --patroni,$(CLUSTER)),patroni)
	$(PYTHON) -m tests.cluster $(CLUSTER)

# What the tests need besides .venv. Each is a download of its own, so several come at the same time.
TEST_TOOLS := asterisk phones fail2ban proxies browser clients prometheus kamailio prompts chroots postgresql
# Files of systems and telephones are in memory, if there is room: while a disk stalls, a telephone misses its call.
# pytest's own directories stay in /tmp: with a longer path, that of Asterisk's socket would be too long.
IN_MEMORY = $(shell [ "$$(df --output=avail -BG /dev/shm 2>/dev/null | tr -dc 0-9)" -ge 4 ] 2>/dev/null && echo TMPDIR=/dev/shm PYTEST_DEBUG_TEMPROOT=/tmp)
# Most tests wait for something most of the time: with four at once, two cores were idle for a third of it.
SIX_AT_ONCE := --numprocesses 6 --dist loadfile --no-loadscope-reorder
# The second run repeats the tests with Asterisk on PostgreSQL, unless PYTEST names files.
test: venv ## Run the product's tests: unit, contract, integration, and end-to-end with a real Asterisk and SIP telephones.
	@$(MAKE) --no-print-directory --jobs 3 $(TEST_TOOLS)
	$(IN_MEMORY) $(PYTHON) -m pytest $(SIX_AT_ONCE) $(PYTEST)
	$(if $(findstring tests/,$(PYTEST)),,$(IN_MEMORY) $(PYTHON) -m pytest $(SIX_AT_ONCE) tests/e2e --database=postgresql $(PYTEST)$(if $(findstring -k,$(PYTEST)), || [ $$? = 5 ]))

test-fast: venv postgresql ## Run tests/unit and tests/contract, which need neither Asterisk nor SIP telephones.
	$(PYTHON) -m pytest tests/unit tests/contract $(PYTEST)

test-phones: venv phones ## Run the tests of the SIP telephones that the other tests call with.
	$(PYTHON) -m pytest phones/tests $(PYTEST)

chaos: venv asterisk phones ## Make calls for ten minutes, kill -9 the engine 200 times and Asterisk 20 times, then audit the books. CHAOS="--seed 7 …"
	$(PYTHON) -m tests.chaos $(CHAOS)

FROM ?= $(shell git describe --tags --abbrev=0 2>/dev/null)
UPGRADE ?=
upgrade: venv asterisk phones ## Upgrade a system with calls up from another version to this one, then audit the books. FROM=TAG UPGRADE="--rate 5"
	$(PYTHON) -m tests.upgrade $(FROM) $(UPGRADE)

COUNT ?= 100000
RATE ?= 200
SEED ?= 1
fuzz: venv asterisk phones ## Send mutated INVITEs to Asterisk while good calls run. COUNT=100000 RATE=200 SEED=1
	$(PYTHON) -m tests.fuzz --count $(COUNT) --rate $(RATE) --seed $(SEED)

BENCH ?=
bench: venv $(if $(findstring asterisk,$(BENCH)),asterisk phones) ## Measure what a call costs, compared with other designs and the machine's limits. BENCH="calls one slow memory api open million asterisk"
	@python=$$(bench/venv.sh) && exec "$$python" -m bench $(BENCH)

SOAK ?=
soak: venv ## Run 5 calls/s for an hour and check that memory, tasks, sockets and rows do not grow. SOAK="--minutes 60 --rate 5"
	$(PYTHON) -m tests.soak $(SOAK)

check: venv ## Run ruff, mypy, import-linter and the check of generated documents, as CI does before the tests.
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PYTHON) -m docs.generate --check

docs: venv ## Build all documents into a site with search: site/index.html.
	$(PYTHON) -m docs.generate.site

docs-reference: venv ## Write the documents that are generated from the code.
	$(PYTHON) -m docs.generate

format: venv ## Format the code with ruff.
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

PINS ?=
pins: ## Write deploy/requirements.txt and deploy/clients.txt anew, with hashes. PINS="--upgrade" takes new releases.
	@deploy/pins.sh $(PINS)

deb: venv ## Build the Debian package, for the release of Debian whose Python builds it: dist/*.deb.
	@deploy/debian/build.sh

release: venv ## Write the files of a release into dist/: wheel, source, Debian package, requirements, SBOM, hashes, notes.
	@deploy/release.sh

clean: ## Delete the database, the secrets and Asterisk's files. Refused while the system is running.
	@if [ -x $(PYTHON) ]; then exec $(PYTHON) -m engine clean --yes; \
	elif [ -e var ]; then echo "Without .venv it cannot be checked whether a system is running: run make venv first" >&2; exit 1; fi

.PHONY: venv asterisk phones fail2ban proxies browser clients prometheus kamailio prompts chroots postgresql patroni
venv:
	@deploy/venv.sh
asterisk:
	@deploy/tools.sh asterisk
phones:
	@deploy/tools.sh phones
fail2ban:
	@deploy/tools.sh fail2ban
proxies:
	@deploy/tools.sh proxies
browser:
	@deploy/tools.sh browser
prometheus:
	@deploy/tools.sh prometheus
kamailio:
	@deploy/tools.sh kamailio
chroots: venv
	@deploy/tools.sh chroots
	@deploy/debian/build.sh --base
postgresql:
	@deploy/tools.sh postgresql
patroni:
	@deploy/tools.sh patroni
# Without them callers hear nothing, but every call is answered as before.
prompts:
	@deploy/tools.sh prompts || echo "make: no prompts, so refused callers hear nothing" >&2
clients: venv
	@deploy/tools.sh clients
