# CUDA: the kernel files, engine/cuda/k_*.c, once more by nvcc; and what the host's side needs to call them.
# Included before the flags are stamped. Bits: numerics.md (no contraction, flush to zero, IEEE / and sqrt).
CUDA_KERNEL_SRC := $(sort $(wildcard engine/cuda/k_*.c))
CUDA_OBJ :=
NVCC_FLAGS := -x cu -std=c++17 -O3 -fmad=false -ftz=true -prec-div=true -prec-sqrt=true -Werror all-warnings -Iengine \
	-Xcompiler -fno-exceptions,-fno-threadsafe-statics

# What a build holds: code for Hopper, and PTX for whatever else there is from Ampere on. One pass of the compiler,
# since no kernel yet uses what only sm_90a has.
CUDA_CODE ?= -gencode arch=compute_80,code=[sm_90,compute_80]

# What check-cuda compiles, one after another.
CUDA_ARCHS ?= 80 89 90a

ifneq ($(CUDA),0)
CUDA_HOME := $(patsubst %/bin/nvcc,%,$(realpath $(NVCC)))
CUDA_OBJ := $(CUDA_KERNEL_SRC:engine/cuda/%.c=$(B)/cuda/%.o)
LDLIBS += -L$(CUDA_HOME)/lib64 -lcudart_static -lrt
$(B)/engine/cuda/device_cuda.o: CPPFLAGS += -DASSAY_CUDA -isystem $(CUDA_HOME)/include

$(B)/cuda/%.o: engine/cuda/%.c $(B)/flags.stamp
	$(call say,NVCC,$<)
	@mkdir -p $(@D)
	$(Q)$(NVCC) $(NVCC_FLAGS) $(CUDA_CODE) -MMD -MP -MF $(@:.o=.d) -c $< -o $@

-include $(CUDA_OBJ:.o=.d)
endif

.PHONY: check-cuda
ifeq ($(NVCC),)
check-cuda: ## compile every CUDA kernel for sm_80, sm_89 and sm_90a, warnings as errors
	@echo 'check-cuda: SKIP no nvcc on PATH or in /usr/local/cuda/bin'
else
CUDA_CUBINS := $(foreach a,$(CUDA_ARCHS),$(CUDA_KERNEL_SRC:engine/cuda/%.c=$(BUILD)/check-cuda/sm_$(a)/%.cubin))
define cubin_rule
$(BUILD)/check-cuda/sm_$(1)/%.cubin: engine/cuda/%.c $(B)/flags.stamp
	$$(call say,NVCC,"sm_$(1) $$<")
	@mkdir -p $$(@D)
	$$(Q)$$(NVCC) $$(NVCC_FLAGS) -arch=sm_$(1) -MMD -MP -MF $$(@:.cubin=.d) -cubin $$< -o $$@
endef
$(foreach a,$(CUDA_ARCHS),$(eval $(call cubin_rule,$(a))))
check-cuda: $(CUDA_CUBINS) ## compile every CUDA kernel for sm_80, sm_89 and sm_90a, warnings as errors
	@echo 'check-cuda: $(words $(CUDA_CUBINS)) files compiled for $(CUDA_ARCHS:%=sm_%); nothing was run on a GPU'
-include $(CUDA_CUBINS:.cubin=.d)
endif
