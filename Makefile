# make study: the central picture, measured here.   make test: the test suite.   Both set up .venv by themselves.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: study test test-slow lint docs bench

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "kaxis needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

study: .venv/ready
	@echo 'Trains 60 networks: two to five minutes on two cores with AVX-512. Stop it whenever you like; the same command goes on.'
	$(BIN)/kaxis run synthetic --K 5 10 50 --seeds 0-4 --learners bp_deepsup dtg_ff
	$(BIN)/kaxis run digits --K 3 5 10 --seeds 0-4 --steps 1000 --learners bp_deepsup dtg_ff
	$(BIN)/kaxis analyze paired --baseline bp_deepsup --learner dtg_ff --brief
	$(BIN)/kaxis figure k-conflict --paper --out runs/figures
	$(BIN)/kaxis report --out runs/report.html
	@echo
	@echo 'Open runs/report.html. Single backprop and its ensemble beside them: $(BIN)/kaxis run synthetic --K 5 10 50 --seeds 0-4'
	@echo 'Real photographs (161 MiB, or --data DIR with cifar-100-binary/ in it):'
	@echo '  $(BIN)/kaxis run cifar100 --K 5 10 50 --seeds 0-4 --features pca:32 --learners bp_deepsup dtg_ff && $(BIN)/kaxis report --out runs/report.html'

test: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/ready
	$(BIN)/python -m sphinx -W --keep-going -q docs build/site
	@echo 'Open build/site/index.html.'

bench: .venv/ready
	$(BIN)/python benchmarks/trainer.py
