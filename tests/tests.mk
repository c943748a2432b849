# Unit tests: one cmocka program per tests/unit/*.c. Command tests: tests/cli/*.sh. All speak TAP;
# tests/run.sh adds them up and ends with one line `N passed, M failed, K skipped`.
UNIT_SRC := $(sort $(wildcard tests/unit/*.c))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(B)/tests/%) $(FUZZ_SRC:tests/fuzz/fuzz_%.c=$(B)/tests/replay_%)
CLI_TESTS := $(sort $(wildcard tests/cli/*.sh tests/mutate/*.sh))
HEADERS := $(sort $(wildcard engine/*.h engine/*/*.h tools/*/*.h))

$(UNIT_SRC:%.c=$(B)/%.o) $(FUZZ_SRC:%.c=$(B)/%.o) $(B)/tests/fuzz/replay.o: CPPFLAGS += -Itools -Itests

$(B)/tests/%: $(B)/tests/unit/%.o $(LIBDRIVE) $(LIBTOOLS) $(LIBENGINE)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $^ $(LDLIBS) -lcmocka -o $@

# A fuzzer's entry is linked twice: with clang's libFuzzer (CONFIG=fuzz), and everywhere with a main that
# replays its seeds and damaged copies of them, as a unit test.
$(B)/tests/replay_%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/replay.o $(LIBDRIVE) $(LIBTOOLS) $(LIBENGINE)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $^ $(LDLIBS) -o $@

$(B)/tests/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(LIBDRIVE) $(LIBTOOLS) $(LIBENGINE)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -fsanitize=fuzzer $^ $(LDLIBS) -o $@

.PHONY: unit-bin check-unit check-headers test test-run analyze fuzz
.PRECIOUS: $(B)/tests/fuzz/%.o

# Seconds for each fuzzer of `make fuzz`.
FUZZ_SECONDS ?= 10
fuzz: ## run every fuzzer for FUZZ_SECONDS (10) with clang's libFuzzer
	$(Q)for f in $(FUZZ_SRC:tests/fuzz/fuzz_%.c=%); do tests/fuzz/run.sh $$f $(FUZZ_SECONDS); done

unit-bin: $(UNIT_BIN)

check-unit: $(UNIT_BIN) ## unit tests of CONFIG (release, asan, tsan, ...)
	$(Q)BIN=$(BIN) tests/run.sh $(UNIT_BIN)

# Every header must compile alone (style.md 3).
HEADER_STAMPS := $(HEADERS:%.h=$(B)/headers/%.ok)
$(B)/headers/%.ok: %.h $(B)/flags.stamp
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -Itools $(CFLAGS) -include $< -fsyntax-only -x c /dev/null
	@touch $@
check-headers: $(HEADER_STAMPS) ## compile every header alone

analyze: ## gcc -fanalyzer over engine and tools
	$(Q)$(MAKE) --no-print-directory CONFIG=analyze build/analyze/libengine.a build/analyze/libtools.a build/analyze/libdrive.a all

# What `make test` runs: unit tests in release and under ASan+UBSan, then the command tests, which
# include the digest matrix, the fault builds, a minute of fuzzing and a whole `make reproduce` with verify.
test: ## the whole test suite (installs what is missing)
	$(Q)pipelines/deps.sh clang libclang-rt-dev
	$(Q)$(MAKE) --no-print-directory test-run

# The fault build (ASSAY_FAULT, kills) and the wrong build need only the programs their tests run.
FAULT_BIN := $(addprefix $(BUILD)/fault/,$(addprefix bin/,accuracy infer memory synth unify verify) tests/test_parity)
J := -j$(shell nproc)

test-run:
	$(Q)$(MAKE) --no-print-directory $(J) all unit-bin check-headers man
	$(Q)$(MAKE) --no-print-directory models
	$(Q)$(MAKE) --no-print-directory $(J) CONFIG=asan unit-bin
	$(Q)$(MAKE) --no-print-directory $(J) CONFIG=fault $(FAULT_BIN)
	$(Q)$(MAKE) --no-print-directory $(J) CONFIG=wrongseg $(BUILD)/wrongseg/bin/infer
	$(Q)BIN=$(BIN) TREE=$(BUILD)/test/reproduce tests/run.sh $(UNIT_BIN) $(UNIT_BIN:$(B)/%=$(BUILD)/asan/%) $(CLI_TESTS)

-include $(UNIT_SRC:%.c=$(B)/%.d) $(FUZZ_SRC:%.c=$(B)/%.d)

# What needs a GPU, or gets ready for one (issue: the GPU engine). The kit runs where there is no Debian.
GPU_KIT := $(BUILD)/gpu-kit
GPU_TESTS := $(addprefix $(B)/tests/test_cuda_,rows product attention) $(B)/tests/gpu_kernels
$(B)/tests/gpu_%: $(B)/tests/gpu/%.o $(LIBENGINE)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $^ $(LDLIBS) -o $@
.PRECIOUS: $(B)/tests/gpu/%.o
-include $(B)/tests/gpu/kernels.d
.PHONY: gpu-kit check-gpu bench-gpu
gpu-kit: all $(GPU_TESTS) ## pack tools, tests and libraries for a bare machine with a GPU, in build/gpu-kit
	$(Q)tests/gpu/kit.sh $(BIN) $(B)/tests $(GPU_KIT)
check-gpu: all $(GPU_TESTS) ## every CUDA kernel and whole models against the CPU's bits, on a GPU (DEVICE=cuda-sim: dry run)
	$(Q)BIN=$(BIN) TESTS=$(B)/tests tests/gpu/check.sh || [ $$? -eq 3 ]
bench-gpu: all $(GPU_TESTS) ## time of each product, latency, memory, energy of the three models on a GPU, in build/out/gpu
	$(Q)BIN=$(BIN) TESTS=$(B)/tests tests/gpu/bench.sh $(BUILD)/out/gpu || [ $$? -eq 3 ]

# Speed of single kernels, for people (tests/bench/kernels.c).
$(B)/tests/bench/kernels: $(B)/tests/bench/kernels.o $(LIBENGINE)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $^ $(LDLIBS) -o $@
.PHONY: bench-kernels
bench-kernels: $(B)/tests/bench/kernels ## speed of the CPU backend's products, as CSV
	$(Q)$< $(shell nproc)
