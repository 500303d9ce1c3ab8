# Everything a person does with a checkout. Needs Python 3.11 or newer and make; the rest is installed in $(VENV).

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
HOME_FOLDER ?= .imago
LOCAL = $(BIN)/python -m infra.local
INSTALLED := $(VENV)/.installed
empty :=
# A path for the shell, with its blanks escaped and not in quotes, which would keep a ~ as it is.
path = $(subst $(empty) $(empty),\ ,$(1))
DESCRIPTIONS := client/src/imago/cli/descriptions.json

.DEFAULT_GOAL := help

# Where it is set every process of ours, and there are many, compiles all of our code again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help venv demo up down status test test-thorough test-unit test-gpu coverage mutants fuzz lint types style format check drift hooks screenshots openapi sweep-networks train-default train-burst soak lock pin-images clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} sub(/^# bench/, "bench") || /^[a-z-]+:.*## / \
		{printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## compute 24 units of a real network and write .imago/demo/grid.png
	@$(LOCAL) demo --home $(call path,$(HOME_FOLDER))

up: $(INSTALLED) ## servers, API and one worker, until Ctrl-C; prints the address and a key
	@exec $(LOCAL) run --home $(call path,$(HOME_FOLDER))

down: $(INSTALLED) ## stop what runs here, whoever started it
	@$(LOCAL) down --home $(call path,$(HOME_FOLDER))

status: $(INSTALLED) ## what runs here
	@$(LOCAL) status --home $(call path,$(HOME_FOLDER))

# Each process starts servers of its own, and takes tests from the others when it has run out of them.
PARALLEL := -n logical --maxprocesses 4 --dist worksteal
USUAL := $(PARALLEL) -m "not thorough"

test: $(INSTALLED) ## the tests, on real servers of their own (PYTEST=options, such as "-n 0 -k lease")
	@$(BIN)/python -m pytest $(USUAL) $(PYTEST)

test-thorough: $(INSTALLED) ## all of them, also those that keep a promise in yet another way or for longer
	@$(BIN)/python -m pytest $(PARALLEL) $(PYTEST)

test-unit: $(INSTALLED) ## the quick tests, without servers
	@$(BIN)/python -m pytest tests/unit $(PARALLEL) $(PYTEST)

# Lists everything that needs a GPU, and says of each test why it was skipped where there is none.
test-gpu: $(INSTALLED) ## the tests that need a CUDA device (skipped, with the reason, where there is none)
	@$(BIN)/python -m pytest tests/gpu -m gpu -n 0 $(PYTEST)

# Not part of `make test`, which would take half as long again (measured over tests/unit: 49 s of processor time for 30;
# Python 3.12 has a cheaper way, sys.monitoring, and 3.11 has not).
coverage: $(INSTALLED) ## the tests as in `make test`, and which lines they run (COVERAGE=tests/unit for some); a report, no threshold
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest $(USUAL) $(COVERAGE) $(PYTEST); status=$$?; \
		$(BIN)/coverage combine --quiet && $(BIN)/coverage report; exit $$status

mutants: $(INSTALLED) ## break each promise of the queue on purpose and see that a test notices (MUTANTS="-k fence")
	@$(BIN)/python -m tests.mutants $(MUTANTS)

lint: types style ## ruff, mypy --strict, import rules

types: $(INSTALLED) ## mypy --strict alone
	$(BIN)/mypy

style: $(INSTALLED) ## ruff and import rules alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(INSTALLED) ## let ruff format and fix what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: lint drift ## lint, and whether openapi.json and the migrations say what the code says

drift: $(INSTALLED) ## whether openapi.json, the client's help and the migrations say what the code says
	@$(BIN)/python -m api openapi | diff -u openapi.json - || \
		{ echo "openapi.json is not what the code says: run make openapi"; exit 1; }
	@$(BIN)/python -m api client-help | diff -u $(DESCRIPTIONS) - || \
		{ echo "the client's help is not what the code says: run make openapi"; exit 1; }
	$(LOCAL) check-migrations

hooks: $(INSTALLED) ## run lint before each commit (git hooks, by pre-commit)
	@$(BIN)/pre-commit install

screenshots: $(INSTALLED) ## every page, light and dark, wide and narrow, into .imago/screenshots (SCREENSHOTS="--url URL")
	@$(BIN)/python -m infra.browser.screenshots $(SCREENSHOTS)

SCREENSHOTS ?=

openapi: $(INSTALLED) ## write openapi.json anew, and what the client's help says of requests
	$(BIN)/python -m api openapi > openapi.json.new
	mv openapi.json.new openapi.json
	$(BIN)/python -m api client-help > descriptions.json.new
	mv descriptions.json.new $(DESCRIPTIONS)

FUZZ ?=

fuzz: $(INSTALLED) ## generated requests against the whole contract; FUZZ="--cases 20000 --seed 7"
	@$(BIN)/python -m tests.fuzz $(FUZZ)

# bench-service: ## what the service costs beside the bare library
# bench-engine: ## today's engine against an earlier one: pictures a second and what judges say of them (BENCH="--classes 60")
# bench-reads: ## reads a second and their p99; needs wrk
# bench-slow-clients: ## what 200 slow connections cost everyone else
# bench-events: ## what 200 open streams of events cost everyone else
# bench-exports: ## how fast an atlas comes as one file, what memory that takes, and what 200 downloads cost everyone else
# bench-latency: ## how long one picture takes beside a bulk job, and alone
# bench-queue: ## rows a second through the queue
# bench-eye: ## how the eye that compares pictures was chosen and is made (BENCH="judge"); needs image sets that are not shipped
# bench-grid: ## how a layer of 100,000 units scrolls in Chromium, and what its orders cost
# bench-map: ## how a map of 100,000 units is moved about in, in Chromium
# bench-pages: ## how long each page takes with a million units in the database, and what it weighs (BENCH="--units 100000")
# bench-atlas: ## what an atlas of a million units costs: reads, search, planning, memory (BENCH="--units 100000")
# bench-night: ## what a night gets: the atlas of a whole network, unattended; goes on where it was stopped
# bench-quality: ## agreement, realism, activation and diversity of the pictures; needs image sets that are not shipped
BENCH ?=

bench-%: $(INSTALLED)
	@$(BIN)/python -m benchmarks.$(subst -,_,$*) $(BENCH)

# SWEEP passes options, for instance SWEEP="--at-once 2 --minutes 30"; a sweep that was ended goes on where it was
# (benchmarks/results/networks.jsonl).
sweep-networks: $(INSTALLED) ## try every architecture of torchvision and timm (hours), write docs/networks.md
	@$(BIN)/python -m benchmarks.networks $(SWEEP)

SOAK = $(if $(ITEMS),--items $(ITEMS)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

soak: $(INSTALLED) ## faults of every kind while pictures are made, and the oracle (ITEMS=20000, MINUTES=, SEED=)
	@$(BIN)/python -m tests.soak $(SOAK)

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --custom-compile-command "make lock"

TRAINING ?= $(HOME_FOLDER)/training/default
DATA ?=

# TRAIN passes options to both commands, for instance TRAIN="--until 2027-01-31T19:25 --pictures 4000000".
train-default: $(INSTALLED) ## go on training the next default generator; at first DATA="pictures/ set.npz …" (also TRAIN=options)
	@if [ -e $(call path,$(TRAINING))/checkpoint.safetensors ]; then \
		$(BIN)/python -m imago_engine.training resume $(call path,$(TRAINING)) $(TRAIN); \
	elif [ -n "$(strip $(DATA))" ]; then \
		$(BIN)/python -m imago_engine.training train $(DATA) --run $(call path,$(TRAINING)) \
			--warm-start engine/next/generator.safetensors --head-start 5000 $(TRAIN); \
	else \
		echo "$(TRAINING) holds no training yet: name image folders, WebDataset tars or packed sets," >&2; \
		echo "for instance make train-default DATA=\"photographs/ more.tar\"" >&2; exit 1; \
	fi

BURST ?= $(HOME_FOLDER)/training/burst
MINUTES ?=

# The same command goes on where it was cut off. TRAIN passes options, for instance TRAIN="--batch 128 --encoder-grid 4".
train-burst: $(INSTALLED) ## train for some minutes on a GPU, DATA="packed.npz" into BURST=folder (MINUTES=12, TRAIN=options)
	@$(BIN)/python -m imago_engine.training burst $(DATA) --run $(call path,$(BURST)) $(if $(MINUTES),--minutes $(MINUTES)) $(TRAIN)

lock: $(INSTALLED) ## compile requirements/*.txt anew from pyproject.toml (UPGRADE=--upgrade for newer releases)
	$(COMPILE) $(UPGRADE) --all-extras -o requirements/dev.txt pyproject.toml client/pyproject.toml engine/pyproject.toml
	$(COMPILE) -c requirements/dev.txt -o requirements/api.txt pyproject.toml
	$(COMPILE) -c requirements/dev.txt --extra torch --extra map -o requirements/worker.txt pyproject.toml engine/pyproject.toml
	$(COMPILE) -c requirements/dev.txt --group store -o requirements/store.txt

pin-images: $(INSTALLED) ## look up the digests of the containers' images (needs Docker) and write them down
	@$(BIN)/python -m infra.images

clean: ## stop what runs and remove the environment and all caches; data in .imago stay
	@if [ -x $(BIN)/python ]; then $(LOCAL) down --home $(call path,$(HOME_FOLDER)); fi
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

venv: $(INSTALLED) ## install everything into the virtual environment

$(INSTALLED): requirements/dev.txt client/pyproject.toml engine/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "imago needs Python 3.11 or newer, and $(PYTHON) is older: make PYTHON=python3.12 …"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "Installing into $(VENV): about 6 GB the first time, most of it PyTorch …"
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --no-deps --no-compile -r requirements/dev.txt
	@echo "Compiling what was installed, on all cores …"
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') || true
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e client -e engine
	@touch $@
