# Speed of the engine beside this machine's ceilings, for work on the engine: not a stage of the study.
# BENCH_MODEL is a model source; the default has true shapes, needs no download and some 2 GB of memory.
BENCH_MODEL ?= synthetic:Qwen3-0.6B
BENCH_OUT ?= $(BUILD)/bench
# More options of bench, such as --isa avx2, --prefill 512, --blocks 7.
BENCH_ARGS ?=

.PHONY: bench
bench: $(BIN)/bench ## the engine against this machine's ceilings (BENCH_MODEL=SOURCE, BENCH_ARGS=)
	@mkdir -p $(BENCH_OUT)
	@echo 'bench: model $(BENCH_MODEL); another one: make bench BENCH_MODEL=SOURCE'
	$(Q)$< --model '$(BENCH_MODEL)' --runs-out $(BENCH_OUT)/bench_runs.csv --out $(BENCH_OUT)/bench.csv $(BENCH_ARGS)
	@echo 'results in $(BENCH_OUT)/bench.csv, raw in bench_runs.csv'

# The same with llama.cpp beside us, in the same blocks: the package llama-cpp-python in an environment
# of its own (network, a compiler, some minutes the first time). BENCH_MODEL is then a .gguf file.
PEERS := $(BUILD)/peers
$(PEERS)/stamp: tests/reference/peers-requirements.txt
	@rm -rf $(PEERS) && mkdir -p $(PEERS)
	$(Q)python3 -m venv $(PEERS)/venv
	$(Q)$(PEERS)/venv/bin/pip install --quiet --requirement $<
	@touch $@

.PHONY: bench-peers
bench-peers: $(BIN)/bench $(PEERS)/stamp ## the same beside llama.cpp (BENCH_MODEL=FILE.gguf; installs it under build/)
	$(if $(filter %.gguf,$(BENCH_MODEL)),,$(error bench-peers: expected BENCH_MODEL=FILE.gguf, found '$(BENCH_MODEL)'))
	@mkdir -p $(BENCH_OUT)
	$(Q)$< --model '$(BENCH_MODEL)' --peer '$(PEERS)/venv/bin/python tests/reference/peer_llama.py' \
		--runs-out $(BENCH_OUT)/bench_peers_runs.csv --out $(BENCH_OUT)/bench_peers.csv $(BENCH_ARGS)
	@echo 'results in $(BENCH_OUT)/bench_peers.csv, raw in bench_peers_runs.csv'
