# libengine.a: every .c of engine/*/, the instruction-set files with their own flags.
ENGINE_SRC := $(sort $(wildcard engine/*/*.c))
ENGINE_OBJ := $(ENGINE_SRC:%.c=$(B)/%.o)
LIBENGINE := $(B)/libengine.a

ISA_FLAGS_engine/cpu/avx2.c := -mavx2 -mfma -mf16c
ISA_FLAGS_engine/cpu/pack_avx2.c := -mavx2
ISA_FLAGS_engine/cpu/avx512.c := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma
ISA_FLAGS_engine/cpu/avx512bf16.c := $(ISA_FLAGS_engine/cpu/avx512.c) -mavx512bf16
isa_flags = $(if $(filter undefined,$(origin ISA_FLAGS_$(1))),,$(ISA_FLAGS_$(1)))

$(B)/%.o: %.c $(B)/flags.stamp
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(call isa_flags,$<) -MMD -MP -c $< -o $@

$(LIBENGINE): $(ENGINE_OBJ) $(CUDA_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcsD $@ $^

-include $(ENGINE_OBJ:.o=.d)
