# make demo   segment a street video with the shipped cascade
# make test   lint, type check and tests, as in CI
# make setup  create the environment for both in .venv
# make lint   ruff, mypy, clang-format
# make clean  remove caches, builds and the demo's output; .venv and downloads stay

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check install --quiet --constraint tools/constraints.txt
SOURCES := $(shell find lc_trt -name '*.py')
CPP := $(shell find plugins -name '*.cu' -o -name '*.cuh' -o -name '*.cpp' -o -name '*.h')

MODEL := models/lite2-camvid/model.onnx
BUNDLE := demo/lite2.lct
VIDEO := demo/cache/bikes.mp4
FRAME := demo/cache/bikes.png
# Close to the aspect ratio of the video, with sides that the encoder's stride 32 divides, and small:
# objects in the video's close-ups then have about the size of those in the training data.
SIZE := 160x384

.PHONY: demo test setup lint clean
.DELETE_ON_ERROR:

# --- environment: one stamp for the demo, one for the tests --------------------------------------

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than Python 3.11; specify a newer one: make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.core: $(VENV)/.created pyproject.toml setup.py tools/constraints.txt
	$(PIP) --editable '.[bench]'
	@touch $@

# The constraints pin torch, because the newest version on PyPI depends on gigabytes of CUDA.
$(VENV)/.dev: $(VENV)/.core
	$(PIP) --editable '.[train,bench,report,dev]'
# Without their dependencies: TensorRT's headers, and its Python bindings, to test the names that we
# use; timm, and torchvision, which it imports, and which is built for another torch.
	$(PIP) --no-deps kernel-lens tensorrt-cu13-bindings timm torchvision
	@touch $@

setup: $(VENV)/.dev

# --- make test ------------------------------------------------------------------------------------

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(if $(CPP),$(BIN)/clang-format --dry-run --Werror $(CPP))

test: lint
	$(BIN)/pytest -m "slow or not slow"

# --- make demo ------------------------------------------------------------------------------------

# Also fetches the video; the frame is written last.
$(FRAME): tools/fetch_bikes.py | $(VENV)/.core
	$(BIN)/python tools/fetch_bikes.py demo/cache

$(BUNDLE)/manifest.json: $(MODEL) Makefile $(SOURCES) | $(VENV)/.core
	$(BIN)/lc-trt build $(MODEL) -o $(BUNDLE) --size $(SIZE)

# --no-check: the demo shows this machine's speed and does not fail below the target.
demo: $(BUNDLE)/manifest.json $(FRAME)
	$(BIN)/lc-trt run $(BUNDLE) --source $(VIDEO) \
		--view overlay --save demo/overlay.mp4 --view stages --save demo/stages.mp4
	$(BIN)/lc-trt run $(BUNDLE) --source $(FRAME) --view side-by-side --save demo/side-by-side.png
	$(BIN)/python tools/beside_dense.py $(BUNDLE) $(VIDEO) demo/beside-dense.mp4
	$(BIN)/lc-trt bench $(BUNDLE) --images $(VIDEO) --size $(SIZE) --no-check
	@echo "Look at demo/overlay.mp4, demo/stages.mp4, demo/beside-dense.mp4 and demo/side-by-side.png"

clean:
	rm -rf build dist lc_trt/plugins *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find demo -mindepth 1 -maxdepth 1 ! -name cache -exec rm -rf {} + 2>/dev/null || true
	find lc_trt tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
