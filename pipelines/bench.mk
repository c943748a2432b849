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

# The same with llama.cpp beside us, in the same blocks and on the same file: the package llama-cpp-python
# in an environment of its own (network, a compiler, some minutes the first time). A model that is not a
# .gguf file is converted first, its matrices to BENCH_TYPE.
BENCH_TYPE ?= q4_0
PEERS := $(BUILD)/peers
BENCH_GGUF := $(if $(filter %.gguf,$(BENCH_MODEL)),$(BENCH_MODEL),$(BENCH_OUT)/$(notdir $(BENCH_MODEL:synthetic:%=%))-$(BENCH_TYPE).gguf)

$(PEERS)/stamp: tests/reference/peers-requirements.txt
	@rm -rf $(PEERS) && mkdir -p $(PEERS)
	$(Q)python3 -m venv $(PEERS)/venv
	$(Q)$(PEERS)/venv/bin/pip install --quiet --requirement $<
	@touch $@

ifneq ($(BENCH_GGUF),$(BENCH_MODEL))
$(BENCH_GGUF): $(BIN)/convert
	@mkdir -p $(@D)
	$(Q)$< --model '$(BENCH_MODEL)' --type $(BENCH_TYPE) --out $@
endif

.PHONY: bench-peers
bench-peers: $(BIN)/bench $(PEERS)/stamp $(BENCH_GGUF) ## the same beside llama.cpp (BENCH_MODEL=, BENCH_TYPE=q4_0; installs it under build/)
	@mkdir -p $(BENCH_OUT)
	$(Q)$< --model '$(BENCH_GGUF)' --peer '$(PEERS)/venv/bin/python tests/reference/peer_llama.py' \
		--runs-out $(BENCH_OUT)/bench_peers_runs.csv --out $(BENCH_OUT)/bench_peers.csv $(BENCH_ARGS)
	@echo 'results in $(BENCH_OUT)/bench_peers.csv, raw in bench_peers_runs.csv'
