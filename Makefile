# make demo, make test: the two commands of a newcomer. Both set up .venv first.
#
#   STACK=lite   mmengine + mmcv-lite + mmpretrain (default)
#   STACK=onedl  the maintained onedl-* forks
#   TORCH=...    what to ask pip for; pip's own settings (PIP_INDEX_URL, ...) choose CPU or CUDA
#   PYTHON=...   interpreter that makes .venv, Python >= 3.10

STACK ?= lite
TORCH ?= torch torchvision
PYTHON ?= python3
PY := .venv/bin/python
JOBS ?= 2

ifeq ($(filter $(STACK),lite onedl),)
$(error STACK is lite or onedl, not '$(STACK)')
endif

.PHONY: env demo test lint

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

# One thread a process: small tensors, and as many processes as JOBS.
test: lint
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS)
