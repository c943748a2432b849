# Measured stages, then what is derived from everything: unify, ape.

MODEL_FLAGS := $(MODEL_PATHS:%=--model %)
MODEL_CONFIGS := $(MODEL_PATHS:%=%/config.json)

$(call add,$(PLATFORM)/all/latency,latency,latency.csv throughput.csv requests.csv events.csv,latency,$(MODEL_CONFIGS),$(BIN)/latency $(RUN) $(SHOW) $(MODEL_FLAGS) --threads $(THREADS) --seed $(SEED) $(DRAFT_FLAG) --in-tok $(LATENCY_IN_TOK) --out-tok $(LATENCY_OUT_TOK) --concurrency $(LATENCY_CONCURRENCY) --blocks $(LATENCY_BLOCKS) --requests $(LATENCY_REQUESTS) --warmup $(LATENCY_WARMUP) --prefill-chunk $(PREFILL_CHUNK) --requests-out $(P)/all/latency/requests.csv --events-out $(P)/all/latency/events.csv --throughput-out $(P)/all/latency/throughput.csv --out $(P)/all/latency/latency.csv)

$(call add,$(PLATFORM)/all/bench,bench,bench.csv bench_runs.csv,bench,$(MODEL_CONFIGS),$(BIN)/bench $(RUN) $(SHOW) $(MODEL_FLAGS) --threads $(THREADS) --seed $(SEED) $(DRAFT_FLAG) --prefill $(BENCH_PREFILL) --decode $(BENCH_DECODE) --decode-tok $(BENCH_DECODE_TOK) --blocks $(BENCH_BLOCKS) --read-mib $(BENCH_READ_MIB) --probe-ms $(BENCH_PROBE_MS) --prefill-chunk $(PREFILL_CHUNK) --runs-out $(P)/all/bench/bench_runs.csv --out $(P)/all/bench/bench.csv)

# Another weight format of a model, where the profile names one.
alt_model = $(if $(filter undefined,$(origin ALT_$(1))),,$(MODELS_DIR)/$(ALT_$(1)))
define measure_model
$(call add,$(PLATFORM)/$(1)/memory,memory,memory.csv,memory,$(MODELS_DIR)/$(1)/config.json,$(BIN)/memory $(RUN) $(SHOW) --model $(MODELS_DIR)/$(1) --threads $(THREADS) --seed $(SEED) $(DRAFT_FLAG) --contexts $(MEMORY_CONTEXTS) --batches $(MEMORY_BATCHES) --prefill-chunk $(PREFILL_CHUNK) --out $(P)/$(1)/memory/memory.csv)
$(call add,$(PLATFORM)/$(1)/ablate,ablate,ablation.csv,ablate,$(MODELS_DIR)/$(1)/config.json $(addsuffix /config.json,$(call alt_model,$(1))),$(BIN)/ablate $(RUN) $(SHOW) --model $(MODELS_DIR)/$(1) $(addprefix --alt-model ,$(call alt_model,$(1))) --threads $(THREADS) --seed $(SEED) $(DRAFT_FLAG) --in-tok $(ABLATE_IN_TOK) --out-tok $(ABLATE_OUT_TOK) --contexts $(ABLATE_CONTEXTS) --blocks $(ABLATE_BLOCKS) --requests $(ABLATE_REQUESTS) --prefill-chunk $(PREFILL_CHUNK) --out $(P)/$(1)/ablate/ablation.csv)
$(call add,$(PLATFORM)/$(1)/energy,energy,energy.csv machine.csv,energy,$(MODELS_DIR)/$(1)/config.json,$(BIN)/energy $(RUN) $(SHOW) --model $(MODELS_DIR)/$(1) --threads $(THREADS) --seed $(SEED) $(DRAFT_FLAG) --contexts $(ENERGY_CONTEXTS) --batches $(ENERGY_BATCHES) --window-s $(ENERGY_WINDOW_S) --idle-s $(ENERGY_IDLE_S) --trace-out $(P)/$(1)/energy/machine.csv --out $(P)/$(1)/energy/energy.csv)
endef
$(foreach m,$(MODELS),$(call measure_model,$(m)))

MEMORY_CSV := $(MODELS:%=$(P)/%/memory/memory.csv)
ENERGY_CSV := $(MODELS:%=$(P)/%/energy/energy.csv)
ABLATION_CSV := $(MODELS:%=$(P)/%/ablate/ablation.csv)
BENCH_CSV := $(P)/all/bench/bench.csv
LATENCY_CSV := $(P)/all/latency/latency.csv
THROUGHPUT_CSV := $(P)/all/latency/throughput.csv
UNIFIED := $(P)/all/unify/unified.csv
APE := $(P)/all/ape/ape.csv

$(call add,$(PLATFORM)/all/unify,unify,unified.csv,unify,$(LATENCY_CSV) $(THROUGHPUT_CSV) $(MEMORY_CSV) $(ENERGY_CSV) $(ACCURACY_CSV) $(COST_CSV) $(SAFETY_CSV) $(ABLATION_CSV),$(BIN)/unify $(RUN) $(SHOW) --latency $(LATENCY_CSV) --throughput $(THROUGHPUT_CSV) $(MEMORY_CSV:%=--memory %) $(ENERGY_CSV:%=--energy %) $(ACCURACY_CSV:%=--accuracy %) $(COST_CSV:%=--accuracy-cost %) $(SAFETY_CSV:%=--safety %) $(ABLATION_CSV:%=--ablation %) --out $(UNIFIED))
$(call add,$(PLATFORM)/all/ape,ape,ape.csv,ape,$(UNIFIED) $(BENCH_CSV),$(BIN)/ape $(RUN) $(SHOW) --unified $(UNIFIED) --bench $(BENCH_CSV) --out $(APE))
