# The published H100 study (arXiv 2508.16700), from its own raw files where a checkout has them:
# STUDY=folder of its new_results/. Each file is imported as it is, under its git blob id; the study's own
# unified files, its efficiency file and its headlines are made again from them, corrections beside.
STUDY_FROM := --repository deepdik/GPT-OSS-20B-analysis --commit 0a3b2b8f572f25940ce73aaf229ececfdafb574e --licence Apache-2.0-by-statement

# kind, file below STUDY, git blob
STUDY_FILES := \
	latency:latency/latency_gptoss20b_universal.csv:b8cbccabac19 \
	latency:latency/latency_qwen3-32b_universal.csv:ad493afe295a \
	latency:latency/latency_yi-34b_universal.csv:0172077786ef \
	memory:memeory/memory_gptoss20b_v2.csv:a5e6bd59de6b \
	memory:memeory/memory_qwen3-32b_v2.csv:d43b531397e5 \
	memory:memeory/memory_yi-34b_v2.csv:178dfe5571fd \
	energy:energy/energy_gptoss20b_fixed.csv:7ba1379a7764 \
	energy:energy/energy_qwen3-32b_fixed.csv:be29dc9a981d \
	energy:energy/energy_yi-34b_fixed.csv:1bfc2e6731da

part = $(word $(1),$(subst :, ,$(2)))
STUDY_RAW := $(X)/study/raw
STUDY_OUT := $(X)/study/unify
study_import = $(BIN)/unify import $(RUN) $(SHOW) $(STUDY_FROM) --schema study_$(call part,1,$(1)) --blob $(call part,3,$(1)) --out $(STUDY_RAW)/$(notdir $(call part,2,$(1))) $(STUDY)/$(call part,2,$(1))
study_of = $(addprefix --$(1) ,$(foreach f,$(filter $(1):%,$(STUDY_FILES)),$(STUDY_RAW)/$(notdir $(call part,2,$(f)))))

ifneq ($(STUDY),)
$(foreach f,$(STUDY_FILES),$(call add,any/study/raw,import-$(basename $(notdir $(call part,2,$(f)))),$(notdir $(call part,2,$(f))),unify,$(STUDY)/$(call part,2,$(f)),$(call study_import,$(f))))
STUDY_CSV := $(STUDY_OUT)/study_headlines.csv $(STUDY_OUT)/study_corrected.csv $(X)/study/ape/ape_analysis.csv
$(call add,any/study/unify,unify,unified_latency_comparison.csv unified_memory_comparison_fixed.csv unified_energy_comparison_fixed.csv study_corrected.csv study_headlines.csv,unify,$(foreach f,$(STUDY_FILES),$(STUDY_RAW)/$(notdir $(call part,2,$(f)))),$(BIN)/unify $(RUN) $(SHOW) --compat $(foreach k,latency memory energy,$(call study_of,$(k))) --latency-out $(STUDY_OUT)/unified_latency_comparison.csv --memory-out $(STUDY_OUT)/unified_memory_comparison_fixed.csv --energy-out $(STUDY_OUT)/unified_energy_comparison_fixed.csv --corrected-out $(STUDY_OUT)/study_corrected.csv --headlines-out $(STUDY_OUT)/study_headlines.csv)
$(call add,any/study/ape,ape,ape_analysis.csv,ape,$(STUDY_OUT)/study_headlines.csv,$(BIN)/ape $(RUN) $(SHOW) --compat --latency $(STUDY_OUT)/unified_latency_comparison.csv --memory $(STUDY_OUT)/unified_memory_comparison_fixed.csv --energy $(STUDY_OUT)/unified_energy_comparison_fixed.csv --out $(X)/study/ape/ape_analysis.csv)
else
STUDY_CSV :=
endif
