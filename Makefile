# `make demo` and `make test` need nothing but Python (3.11 or newer) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Bytecode at once: where Python writes none itself (PYTHONDONTWRITEBYTECODE), every process would compile torch anew.
UV = $(BIN)/uv pip install --compile-bytecode --python $(BIN)/python
# A folder with images/ and annotations/{instances,panoptic}.json, for the recall of proposals.
COCO ?= ../shared/coco-sample

.PHONY: demo test soak story lint benchmarks lock

demo: $(VENV)/installed
	$(BIN)/python -m jobs.demo

# Two processes: most tests wait for Ray to start something.
test: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=60

# What takes minutes each: whole chains and demos, faults of every kind, clusters on one machine and in namespaces.
# `FAULTS=50 SEED=7` for more random faults at one job, and a hundred odd files of each kind for each of them.
soak: $(VENV)/installed
	$(BIN)/python -m pytest -m soak --faults $(or $(FAULTS),8) --seed $(or $(SEED),1)

# The claims of the demo on two seeds, with margins: most of an hour on two cores.
story: $(VENV)/installed
	$(BIN)/python -m pytest -m story

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

benchmarks: $(VENV)/installed
	$(BIN)/python -m tests.benchmarks.nouns
	$(BIN)/python -m tests.benchmarks.text
	$(BIN)/python -m tests.benchmarks.proposals --coco $(COCO)
	$(BIN)/python -m tests.benchmarks.backends
	$(BIN)/python -m tests.benchmarks.prompted_backends
	$(BIN)/python -m tests.benchmarks.regions
	$(BIN)/python -m tests.benchmarks.feed clip operations proposals loader --coco $(COCO)
	$(BIN)/python -m tests.benchmarks.memory
	$(BIN)/python -m tests.benchmarks.listing
	$(BIN)/python -m tests.benchmarks.duplicates --coco $(COCO)
	$(BIN)/python -m tests.benchmarks.train
	$(BIN)/python -m tests.benchmarks.segment --coco $(COCO)
	$(BIN)/python -m tests.benchmarks.confusion
	$(BIN)/python -m tests.benchmarks.evaluate

# The lock file pins every package with its hash; uv, which is one of them, installs the others several times as fast as
# pip. The project itself is linked in, so that edits count at once.
# `make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu`: torch and torchvision of the locked versions come from
# there, where builds without the CUDA libraries lie (3.4 GB less); their hashes are those that this index gives.
CUDA := ^(torch|torchvision|triton|nvidia-.*|cuda-.*)==
$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	awk '/^[a-z]/ {wanted = /^uv==/} wanted' requirements.lock > $(VENV)/uv.txt
	$(BIN)/python -m pip install --quiet --require-hashes --requirement $(VENV)/uv.txt
	awk '/^[a-z]/ {wanted = !("$(TORCH_INDEX)" != "" && /$(CUDA)/)} wanted' requirements.lock > $(VENV)/locked.txt
	$(UV) --no-deps --require-hashes --requirement $(VENV)/locked.txt
	$(if $(TORCH_INDEX),$(UV) --no-deps --index-url $(TORCH_INDEX) $$(awk '/^torch(vision)?==/ {print $$1}' requirements.lock))
	$(UV) --no-deps --no-build-isolation --editable .
	touch $@

# One set of versions for every platform and Python ≥ 3.11. torchvision's wheels fit one torch each; open_clip_train's
# own reader breaks with webdataset 1.0, this project's shards and code work with both. clip-benchmark asks for
# pycocoevalcap, Java programs that judge captions, which no test uses: it is left out.
lock: $(VENV)/installed
	printf 'torch==2.12.1\ntorchvision==0.27.1\nwebdataset==0.2.86\n' > $(VENV)/constraints.txt
	printf 'pycocoevalcap; python_version < "3"\n' > $(VENV)/overrides.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
		--python-version 3.11 --extra dev --constraint $(VENV)/constraints.txt --override $(VENV)/overrides.txt \
		pyproject.toml --output-file requirements.lock
