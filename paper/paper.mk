# The figures, the numbers and the paper. Paths come from variables, so that any result tree will do:
#   OUT       result tree               UNIFIED, APE   what unify and ape wrote
#   REQUESTS  timed requests            HEADLINES, CORRECTED   the published study, re-derived (may be absent)
#   MANIFEST  SHA256SUMS of the tree    FIGS_DIR, NUMBERS      where figures and numbers.tex go
PROFILE ?= tiny
OUT ?= $(BUILD)/out/$(PROFILE)
UNIFIED ?= $(OUT)/$(PLATFORM)/all/unify/unified.csv
APE ?= $(OUT)/$(PLATFORM)/all/ape/ape.csv
REQUESTS ?= $(OUT)/$(PLATFORM)/all/latency/requests.csv
HEADLINES ?= $(if $(STUDY),$(STUDY_OUT)/study_headlines.csv)
CORRECTED ?= $(if $(STUDY),$(STUDY_OUT)/study_corrected.csv)
MANIFEST ?= $(OUT)/SHA256SUMS
FIGS_DIR ?= $(OUT)/$(PLATFORM)/all/plot
NUMBERS ?= $(FIGS_DIR)/numbers.tex
PAPER_PDF ?= $(BUILD)/paper/$(PROFILE).pdf

FIGURES := $(sort $(patsubst figs/%.gp,%,$(filter-out figs/style.gp,$(wildcard figs/*.gp))))
FIGURES_GP := $(FIGURES:%=$(FIGS_DIR)/%.gp)
PLOT_STAMPS := $(STAMPS)/plot
FIGURES_DONE := $(FIGURES:%=$(PLOT_STAMPS)/%)

# An input that a study does not have is declared, so that the paper says so; one that is listed must exist.
plot_input = $(if $(2),$(addprefix --$(1) ,$(2)),--absent $(1))

# Payloads are written only if they changed, so a stamp outside the tree carries the time (provenance.md 5).
$(PLOT_STAMPS)/%: figs/%.gp figs/style.gp $(UNIFIED) $(APE) $(REQUESTS) | $(BIN)/plot
	$(call say,PLOT,$*)
	@mkdir -p $(FIGS_DIR) $(@D)
	$(Q)$(BIN)/plot figure --root $(OUT) --unified $(UNIFIED) --ape $(APE) $(call plot_input,requests,$(REQUESTS)) \
		--out $(FIGS_DIR)/$*.gp $<
	@touch $@

$(PLOT_STAMPS)/numbers: paper/values.def $(UNIFIED) $(APE) $(HEADLINES) $(CORRECTED) $(MANIFEST) $(FIGURES_DONE) | $(BIN)/plot
	$(call say,PLOT,numbers)
	@mkdir -p $(dir $(NUMBERS)) $(@D)
	$(Q)$(BIN)/plot numbers --root $(OUT) --unified $(UNIFIED) --ape $(APE) $(call plot_input,headlines,$(HEADLINES)) \
		$(call plot_input,corrected,$(CORRECTED)) --manifest $(MANIFEST) --values $< --out $(NUMBERS) $(FIGURES_GP)
	@touch $@

$(PAPER_PDF): paper/paper.tex paper/build.sh $(PLOT_STAMPS)/numbers $(FIGURES_DONE)
	$(call say,TEX,$@)
	$(Q)paper/build.sh paper/paper.tex $(NUMBERS) $(FIGS_DIR) $@
	@touch $@

.PHONY: figures paper
figures: $(FIGURES_DONE) ## draw every figure from the results of PROFILE

paper: $(PAPER_PDF) ## build the paper from the results of PROFILE
	@printf 'paper: %s\n' '$(PAPER_PDF)'
