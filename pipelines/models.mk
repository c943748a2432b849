# The tiny models, made by synth in a fraction of a second each; a directory whose bytes would not
# change is left alone, so nothing that depends on it is rebuilt. The stamp stands beside the directory:
# a model directory holds only what a real one holds.
TINY_MODELS := gptoss-tiny gptoss-tiny-bf16 qwen3-tiny qwen3-tied-tiny yi-tiny
MODELS_DIR := $(BUILD)/models

define tiny_model
$(MODELS_DIR)/$(1).stamp: $(BIN)/synth $(if $(wildcard $(MODELS_DIR)/$(1)/config.json),,FORCE)
	@mkdir -p $$(@D)
	$$(Q)$$< --quiet --family $(1) --out $(MODELS_DIR)/$(1)
	@touch $$@
$(MODELS_DIR)/$(1)/config.json: $(MODELS_DIR)/$(1).stamp ; @true
endef
$(foreach m,$(TINY_MODELS),$(eval $(call tiny_model,$(m))))

.PHONY: models reference reference-llamacpp
models: $(TINY_MODELS:%=$(MODELS_DIR)/%.stamp) ## the tiny models, in build/models

reference: models ## golden files anew with transformers (own venv, some 8 GB, network)
	$(Q)tests/reference/run.sh $(MODELS_DIR) tests/golden

reference-llamacpp: models $(BIN)/convert ## converted files against gguf and llama.cpp (own venv, compiles, network)
	$(Q)tests/reference/llamacpp.sh $(MODELS_DIR) $(BIN) tests/golden
