# make reproduce   the environment, the whole experiment and its report (results/report.html)
# make test        the tests
# make slow        the tests that take minutes: networks in twelve dimensions, large clouds of points
# make lint        ruff, pyright, snakefmt, snakemake --lint
# make benchmark   timings as ratios, written to benchmarks/README.md
# make env         the environment alone (.venv, locked versions)
# make lock        compile constraints.txt anew
# make clean       remove results and caches; the environment stays
PYTHON ?= python3
CORES ?= all
BIN := .venv/bin
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Let uv look where pip is told to: a CPU build of torch on offer there wins over gigabytes of CUDA.
export UV_FIND_LINKS := $(PIP_FIND_LINKS)

.PHONY: reproduce test slow lint benchmark env lock clean

reproduce: env
	@start=$$(date +%s); snakemake --cores $(CORES) && \
	  python -m wgfpipe overhead --wall $$(( $$(date +%s) - start )) --cores $$(nproc) && \
	  echo "the report is results/report.html"

test: env
	OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile --no-loadscope-reorder -p no:benchmark -m "not slow"

slow: env
	OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile --no-loadscope-reorder -p no:benchmark -m slow

lint: env
	ruff check .
	ruff format --check .
	pyright
	snakefmt --check Snakefile workflow
	snakemake --lint

benchmark: env
	OMP_NUM_THREADS=1 python benchmarks/run.py

# Bytecode for all jobs to load, also where PYTHONDONTWRITEBYTECODE makes each of them compile the sources again (0.15 s).
env: .venv/installed
	@$(BIN)/python -m compileall -q src

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:3]; sys.exit(0 if v >= (3, 11) else "wgfpipe needs Python 3.11 or later, %s is %d.%d.%d; try make PYTHON=python3.12" % (sys.executable, *v))'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --constraints constraints.txt --editable '.[dev]'
	touch $@

lock: env
	printf 'torch==2.13.0\n' > .venv/torch.txt
	UV_FIND_LINKS= $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --extra slurm --no-annotate \
	  --no-header --constraints .venv/torch.txt pyproject.toml | grep -v -E '^(nvidia-|cuda-|triton)' > constraints.txt

clean:
	find results -mindepth 1 ! -name README.md -delete
	rm -rf .snakemake .pytest_cache .ruff_cache .benchmarks
	find . -path ./.venv -prune -o -name __pycache__ -exec rm -rf {} +
