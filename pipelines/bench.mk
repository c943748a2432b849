# Speed of the engine beside this machine's ceilings, for work on the engine: not a stage of the study.
# BENCH_MODEL is a model source; the default is the largest that needs no download and fits everywhere,
# a model far too small to say anything about speed at full size.
BENCH_MODEL ?= $(MODELS_DIR)/gptoss-tiny
BENCH_OUT ?= $(BUILD)/bench
# More options of bench, such as --isa avx2, --prefill 512, --blocks 7.
BENCH_ARGS ?=

.PHONY: bench
bench: $(BIN)/bench $(if $(filter $(MODELS_DIR)/%,$(BENCH_MODEL)),$(BENCH_MODEL).stamp) ## the engine against this machine's ceilings (BENCH_MODEL=SOURCE, BENCH_ARGS=)
	$(if $(filter $(MODELS_DIR)/%,$(BENCH_MODEL)),@echo 'bench: $(BENCH_MODEL) is a tiny model; name another with BENCH_MODEL=SOURCE')
	@mkdir -p $(BENCH_OUT)
	$(Q)$< --model $(BENCH_MODEL) --runs-out $(BENCH_OUT)/bench_runs.csv --out $(BENCH_OUT)/bench.csv $(BENCH_ARGS)
	@echo 'results in $(BENCH_OUT)/bench.csv, raw in bench_runs.csv'
