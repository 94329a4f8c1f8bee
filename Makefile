# make demo, make test: the two commands of a newcomer. Both set up .venv first.
#
#   STACK=lite   mmengine + mmcv-lite + mmpretrain (default)
#   STACK=onedl  the maintained onedl-* forks
#   TORCH=...    what to ask pip for; pip's own settings (PIP_INDEX_URL, ...) choose CPU or CUDA
#   PYTHON=...   interpreter that makes .venv, Python >= 3.10
#
# make coverage runs the tests and prints the branch coverage of the package.
# make test-peers compares with PaddleClas and the authors' augmentation, installed in .venv-peers.
# make test-browser opens the report and the web demo in Chromium: the system's, or the one that
# `.venv/bin/playwright install chromium` brings.
# make test-faults kills, fills the disk, attacks the web demo and starts many processes: an hour.
# make bench times this code beside its peers and writes work_dirs/benchmarks/*.json; keep the
# machine free meanwhile. BENCHMARKS='NAME ...' runs only some.
# make accuracy trains heads and networks on real photos (docs/results.md): days on a CPU, continued
# where it was stopped. STUDIES='NAME ...' runs only some, with the arguments in ACCURACY.
# make fastai trains with fastai on few photos, installed in .venv-fastai, which sees .venv.

STACK ?= lite
TORCH ?= torch torchvision
PYTHON ?= python3
PY := .venv/bin/python
JOBS ?= 2

ifeq ($(filter $(STACK),lite onedl),)
$(error STACK is lite or onedl, not '$(STACK)')
endif

.PHONY: env demo test coverage test-browser test-faults test-peers bench accuracy fastai lint

env: .venv/installed-$(STACK)

# The two host stacks share import names, so one environment never gets both.
.venv/installed-$(STACK): setup.py
	@for other in .venv/installed-*; do \
	  if [ -e "$$other" ] && [ "$$other" != "$@" ]; then \
	    echo ".venv holds $${other#.venv/installed-}, not $(STACK): remove .venv first (rm -r .venv)"; exit 1; \
	  fi; done
	$(PYTHON) -m venv .venv
	$(PY) -m pip install $(TORCH)
	$(PY) -m pip install -e '.[$(STACK),test]'
# mmengine brings opencv-python, which needs the desktop's libGL; servers often have none.
	@$(PY) -c 'import cv2' || { \
	  echo 'opencv-python does not load here: putting opencv-python-headless in its place'; \
	  $(PY) -m pip uninstall -y opencv-python && $(PY) -m pip install opencv-python-headless; }
	touch $@

demo: env
	$(PY) tools/demo.py

lint: env
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

# One thread a process: small tensors, and as many processes as JOBS. Each takes files next to each
# other, so that what their tests share is made once.
test: lint
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist worksteal

# The processes that tests start are measured too.
coverage: env
	OMP_NUM_THREADS=1 $(PY) -m coverage run -m pytest -n $(JOBS) --dist worksteal
	$(PY) -m coverage combine -q
	$(PY) -m coverage report

test-browser: env .venv/browser
	OMP_NUM_THREADS=1 $(PY) -m pytest tests/browser

.venv/browser: setup.py
	$(PY) -m pip install -e '.[$(STACK),browser]'
	touch $@

test-faults: env .venv/browser
	OMP_NUM_THREADS=1 $(PY) -m pytest -m faults

# The wheel of paddleclas holds its models. Its engine, augmentation and metric are in its repository
# only: PADDLECLAS=FOLDER and PADDLECLAS_DRAFT=FOLDER name two checkouts (docs/recipe.md), without
# which their tests skip. Both run whole, so all that they import is installed.
test-peers: env .venv-peers/installed
	OMP_NUM_THREADS=1 $(PY) -m pytest tests/peers

.venv-peers/installed: Makefile
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install 'paddlepaddle>=3.3.1' opencv-python-headless scipy \
	  scikit-learn pyyaml tqdm easydict prettytable requests visualdl pycocotools
	.venv-peers/bin/python -m pip install --no-deps 'paddleclas>=2.6.0' 'randaugment>=1.0.2'
	touch $@

BENCHMARKS ?= $(basename $(notdir $(shell grep -l '^def main' benchmarks/*.py)))

bench: env .venv/bench-peers
	@for name in $(BENCHMARKS); do \
	  echo "benchmarks/$$name.py"; $(PY) benchmarks/$$name.py || exit 1; done

.venv/bench-peers: setup.py
	$(PY) -m pip install -e '.[$(STACK),bench]'
	touch $@

STUDIES ?= frozen_features losses fine_tuning attention_in_boxes threshold_gains small_data \
  small_data_heads label_errors

accuracy: env .venv/accuracy
	@for name in $(STUDIES); do \
	  echo "benchmarks/accuracy/$$name.py"; \
	  $(PY) -m benchmarks.accuracy.$$name $(ACCURACY) || exit 1; done
	$(PY) -m benchmarks.accuracy.tables

.venv/accuracy: setup.py
	$(PY) -m pip install -e '.[$(STACK),start,test]'
	touch $@

fastai: env .venv/accuracy .venv-fastai/installed
	.venv-fastai/bin/python -m benchmarks.accuracy.fastai_peer $(ACCURACY)

# Its python sees the packages of .venv, whose it must be, too.
.venv-fastai/installed: Makefile
	$(PY) -m venv .venv-fastai
	$(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > .venv-fastai/shared.pth
	mv .venv-fastai/shared.pth .venv-fastai/lib/python3*/site-packages/
	.venv-fastai/bin/python -m pip install 'fastai>=2.8.12'
	touch $@
