# assay: one graph, no recursion. `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += -r --warn-undefined-variables
.DEFAULT_GOAL := all
export LC_ALL := C

# CONFIG: release debug asan tsan fault wrongseg fuzz cov. Everything it makes lies under build/$(CONFIG).
CONFIG ?= release
CC := gcc
# CUDA: 1 where nvcc is found (release and debug), CUDA=0|1 to force; 0 builds and tests everything else.
NVCC ?= $(firstword $(shell command -v nvcc) $(wildcard /usr/local/cuda/bin/nvcc))
CUDA ?= $(if $(filter release debug,$(CONFIG)),$(if $(NVCC),1,0),0)
ifneq ($(CUDA),0)
ifeq ($(NVCC),)
$(error CUDA=$(CUDA): expected nvcc on PATH, in /usr/local/cuda/bin or as NVCC=, found none)
endif
endif
V ?= 0
ifeq ($(V),0)
Q := @
say = @printf '  %-7s %s\n' $(1) $(2)
else
Q :=
say = @:
endif

BUILD := build
B := $(BUILD)/$(CONFIG)
BIN := $(B)/bin

WARN := -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wsign-conversion -Wdouble-promotion -Wformat=2 \
	-Wundef -Wvla -Wcast-qual -Wwrite-strings -Wswitch-enum -Wstrict-prototypes -Wmissing-prototypes
OPT_release := -O2 -g
OPT_debug := -O0 -g3
OPT_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT_tsan := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
# Test-only builds: fault reads ASSAY_FAULT at model load (engine/model/fault.c); wrongseg adds the
# segments of a dot product in the wrong order on AVX2 (tests/cli/matrix must notice).
OPT_fault := -O2 -g -DASSAY_FAULTS
OPT_wrongseg := -O2 -g -DASSAY_WRONG_SEGMENT_ORDER
OPT_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -w
OPT_analyze := -O2 -fanalyzer
OPT_cov := -O0 -g --coverage
OPT := $(OPT_$(CONFIG))

CPPFLAGS := -D_POSIX_C_SOURCE=200809L -Iengine -I$(B)/gen
CFLAGS := -std=c17 $(WARN) $(OPT) -ffp-contract=off -fno-fast-math -pthread -fno-strict-aliasing
LDLIBS := -lcjson -lcsv -lcrypto -ldl -lm -pthread
include engine/cuda.mk

include engine/engine.mk
include tools/tools.mk
include tests/tests.mk
include pipelines/models.mk
include pipelines/bench.mk
-include pipelines/stages.mk
-include paper/paper.mk

.PHONY: all clean deps help
all: $(TOOLS_BIN) ## build every tool of CONFIG (default release)

deps: ## install what is missing (Debian packages), or say the one command that would
	$(Q)pipelines/deps.sh

clean: ## delete everything built (build/)
	rm -rf $(BUILD)

help: ## this list
	@grep -hE '^[a-zA-Z_-]+:.*## ' $(MAKEFILE_LIST) | sort -u | sed -E 's/^([a-zA-Z_-]+):[^#]*## /\1\t/' | \
		awk -F '\t' '{printf "  %-16s %s\n", $$1, $$2}'

# A stamp that changes only when compiler or flags do, so that a flag change rebuilds everything once.
FLAGS_TEXT := $(CC) $(CPPFLAGS) $(CFLAGS) $(LDLIBS) CUDA=$(CUDA) $(NVCC_FLAGS) $(CUDA_CODE)
$(B)/flags.stamp: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(FLAGS_TEXT)' | cmp -s - $@ || printf '%s\n' '$(FLAGS_TEXT)' > $@

.PHONY: FORCE
FORCE:
