# The study as one graph. `make reproduce PROFILE=p` writes build/out/<p>/ and never over results/.
#
#   any/<model>/<stage>/         exact files: the same bytes on every machine
#   <platform>/<model>/<stage>/  measured here (`all` = every model in one interleaved run)
#
# A step is a folder, its payloads and one command. The recipe touches a stamp beside the tree and the
# payloads hang on the stamp, because payloads are written only if their bytes changed; a payload that
# was deleted makes its stamp old at once (provenance.md 5). Steps run one at a time whatever -j says:
# a measurement must have the machine to itself.
PROFILE ?= tiny
PROFILE_MK := pipelines/profiles/$(PROFILE).mk
PLATFORM ?= cpu-$(subst _,-,$(shell uname -m))
OUT ?= $(BUILD)/out/$(PROFILE)
STAMPS := $(OUT).make
STUDY ?= $(wildcard ../shared/reference/paper/new_results)
THREADS ?= 0

include $(PROFILE_MK)

X := $(OUT)/any
P := $(OUT)/$(PLATFORM)
MODEL_PATHS := $(MODELS:%=$(MODELS_DIR)/%)
DRAFT_FLAG := $(if $(filter 1,$(DRAFT)),--draft)
RUN := --root $(OUT)
SHOW := $(if $(filter 1,$(V)),,--quiet)

# Marks that a step has run since the last complete reproduce; the closing line reads it.
RAN := $(STAMPS)/ran

# Payload names are relative to the step's folder; one in another folder is given as $(OUT)/... .
payloads = $(foreach f,$(2),$(if $(filter $(OUT)/%,$(f)),$(f),$(OUT)/$(1)/$(f)))
# $(call step,dir,name,payloads,tool,prerequisites,command). The tool's object and the engine are
# prerequisites, its executable only has to exist: it also holds the commit id, which changes with
# every commit and changes no result.
STEPS :=
define step
STEPS += $(1)/$(2)
$(STAMPS)/$(1)/$(2): $(5) $(PROFILE_MK) $(B)/tools/$(4).o $(LIBENGINE) \
		$(if $(filter-out $(wildcard $(call payloads,$(1),$(3))),$(call payloads,$(1),$(3))),FORCE) \
		| $(BIN)/$(4) $(PREVIOUS)
	@mkdir -p $(sort $(dir $(call payloads,$(1),$(3)))) $$(@D)
	@printf '[%2d/%d] %s\n' "$$$$(printf '%s\n' $$(STEPS) | grep -nxF '$(1)/$(2)' | cut -d: -f1)" $$(words $$(STEPS)) '$(2)  $(1)'
	$(Q)$(6)
	@echo '$(1)/$(2)' >> $(RAN)
	@touch $$@
$(call payloads,$(1),$(3)): $(STAMPS)/$(1)/$(2) ; @true
PREVIOUS := $(STAMPS)/$(1)/$(2)
endef
PREVIOUS :=
add = $(eval $(call step,$(1),$(2),$(3),$(4),$(5),$(6)))

include pipelines/exact.mk
include pipelines/measured.mk
include pipelines/study.mk

# The root of the Merkle DAG: everything up to ape. Figures and the paper's numbers quote its digest, so
# they come after and are not in it; verify makes them again.
MANIFEST := $(OUT)/SHA256SUMS
$(call add,all,manifest,$(MANIFEST),verify,$(EXACT) $(STUDY_CSV) $(UNIFIED) $(APE),$(BIN)/verify manifest $(SHOW) --out $(MANIFEST) $(OUT))

.PHONY: reproduce reproduce-run exact verify check-expected accept

reproduce: deps ## the whole study of PROFILE (default tiny), into build/out/PROFILE
	$(Q)$(MAKE) --no-print-directory reproduce-run

reproduce-run: all models $(STEPS:%=$(STAMPS)/%) paper
	@if [ -e $(RAN) ]; then \
		printf 'reproduced: %d of %d steps run; results in %s, paper in %s\n' "$$(sort -u $(RAN) | wc -l)" $(words $(STEPS)) $(OUT) $(PAPER_PDF); \
		rm -f $(RAN); \
	else \
		printf 'nothing to do: all %d steps are up to date; results in %s, paper in %s\n' $(words $(STEPS)) $(OUT) $(PAPER_PDF); \
	fi

exact: all models $(EXACT) ## only what must have the same bytes on every machine

EXPECTED := results/expected/$(PROFILE).sha256

verify: all ## check every hash, chain and expected digest of results/ and build/out/
	$(Q)$(BIN)/verify $(if $(filter-out $(BUILD)/out/%,$(OUT)),--tree $(OUT) --expected $(EXPECTED))

check-expected: all ## hold the results of PROFILE against the committed digests (and rows, where accepted)
	$(Q)if [ -d results/$(PROFILE) ]; then $(BIN)/verify compare --expected $(EXPECTED) $(OUT) results/$(PROFILE); \
	else $(BIN)/verify --tree $(OUT) --expected $(EXPECTED); fi

accept: all ## make the results of PROFILE the committed ones (refuses a dirty tree, or a failed check without REASON=)
	$(Q)pipelines/accept.sh $(PROFILE) $(OUT) $(BIN) '$(if $(filter undefined,$(origin REASON)),,$(REASON))'
