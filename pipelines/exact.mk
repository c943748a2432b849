# Exact steps: requests -> infer -> grade, for every task and suite of every model; governance. The
# answers' timings are measured, so they lie under the platform.

infer = $(BIN)/infer $(RUN) $(SHOW) --model $(MODELS_DIR)/$(1) --threads $(THREADS) --parallel $(INFER_PARALLEL) \
	--prefill-chunk $(PREFILL_CHUNK) --requests $(X)/$(1)/$(2)/requests.jsonl --out $(X)/$(1)/$(2)/transcripts.jsonl \
	--timing-out $(P)/$(1)/$(2)/transcripts.timing.csv --journal $(STAMPS)/any/$(1)/$(2)/journal
# $(call answer,model,stage): requests.jsonl -> transcripts.jsonl
answer = $(call add,any/$(1)/$(2),infer,transcripts.jsonl $(P)/$(1)/$(2)/transcripts.timing.csv,infer,$(X)/$(1)/$(2)/requests.jsonl $(MODELS_DIR)/$(1)/config.json,$(call infer,$(1),$(2)))

# Tasks whose answers are generated are asked through the chat template; choices are scored as text.
task_chat = $(if $(filter $(CHAT_TASKS),$(1)),--chat)
task_ask = --task tasks/$(2) $(call task_chat,$(2)) --model-config $(MODELS_DIR)/$(1)/config.json
define task_steps
$(call add,any/$(1)/accuracy-$(2),requests,requests.jsonl,accuracy,$(wildcard tasks/$(2)/*) $(MODELS_DIR)/$(1)/config.json,$(BIN)/accuracy make-requests $(RUN) $(SHOW) $(call task_ask,$(1),$(2)) --out $(X)/$(1)/accuracy-$(2)/requests.jsonl)
$(call answer,$(1),accuracy-$(2))
$(call add,any/$(1)/accuracy-$(2),grade,accuracy.csv items.jsonl,accuracy,$(X)/$(1)/accuracy-$(2)/transcripts.jsonl,$(BIN)/accuracy grade $(RUN) $(SHOW) $(call task_ask,$(1),$(2)) --model $(1) --transcripts $(X)/$(1)/accuracy-$(2)/transcripts.jsonl --items $(X)/$(1)/accuracy-$(2)/items.jsonl --out $(X)/$(1)/accuracy-$(2)/accuracy.csv)
$(call add,$(PLATFORM)/$(1)/accuracy-$(2),cost,accuracy_cost.csv,accuracy,$(X)/$(1)/accuracy-$(2)/accuracy.csv $(P)/$(1)/accuracy-$(2)/transcripts.timing.csv,$(BIN)/accuracy cost $(RUN) $(SHOW) $(DRAFT_FLAG) --accuracy $(X)/$(1)/accuracy-$(2)/accuracy.csv --timing $(P)/$(1)/accuracy-$(2)/transcripts.timing.csv --out $(P)/$(1)/accuracy-$(2)/accuracy_cost.csv)
endef
define suite_steps
$(call add,any/$(1)/safety-$(2),requests,requests.jsonl,safety,$(wildcard safety/$(2)/*),$(BIN)/safety make-requests $(RUN) $(SHOW) --suite safety/$(2) --out $(X)/$(1)/safety-$(2)/requests.jsonl)
$(call answer,$(1),safety-$(2))
$(call add,any/$(1)/safety-$(2),grade,safety.csv items.jsonl,safety,$(X)/$(1)/safety-$(2)/transcripts.jsonl,$(BIN)/safety grade $(RUN) $(SHOW) --suite safety/$(2) --model $(1) --transcripts $(X)/$(1)/safety-$(2)/transcripts.jsonl --items $(X)/$(1)/safety-$(2)/items.jsonl --out $(X)/$(1)/safety-$(2)/safety.csv)
endef

$(foreach m,$(MODELS),$(foreach t,$(TASKS),$(call task_steps,$(m),$(t))))
$(foreach m,$(MODELS),$(foreach s,$(SUITES),$(call suite_steps,$(m),$(s))))
$(call add,any/all/safety,governance,governance.csv,safety,safety/governance.csv,$(BIN)/safety governance $(RUN) $(SHOW) --table safety/governance.csv --out $(X)/all/safety/governance.csv)

ACCURACY_CSV := $(foreach m,$(MODELS),$(foreach t,$(TASKS),$(X)/$(m)/accuracy-$(t)/accuracy.csv))
COST_CSV := $(foreach m,$(MODELS),$(foreach t,$(TASKS),$(P)/$(m)/accuracy-$(t)/accuracy_cost.csv))
SAFETY_CSV := $(foreach m,$(MODELS),$(foreach s,$(SUITES),$(X)/$(m)/safety-$(s)/safety.csv))
EXACT := $(ACCURACY_CSV) $(SAFETY_CSV) $(X)/all/safety/governance.csv
