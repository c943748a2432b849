# One executable per tools/*.c, linked with tools/drive (measuring over engine.h), libtools (tools/lib and
# the rooms of single commands, which know base and lib only; convert: format and quant too) and the engine.
TOOLS_SRC := $(sort $(wildcard tools/*.c))
TOOLS_BIN := $(TOOLS_SRC:tools/%.c=$(BIN)/%)
LIB_ROOMS := lib check convert eval figure meter study synth
LIB_SRC := $(sort $(wildcard $(LIB_ROOMS:%=tools/%/*.c)))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o) $(B)/gen/schema_text.o
LIBTOOLS := $(B)/libtools.a
DRIVE_SRC := $(sort $(wildcard tools/drive/*.c))
DRIVE_OBJ := $(DRIVE_SRC:%.c=$(B)/%.o)
LIBDRIVE := $(B)/libdrive.a

$(LIB_OBJ) $(DRIVE_OBJ) $(TOOLS_SRC:%.c=$(B)/%.o): CPPFLAGS += -Itools

# Looked at by every make, changed only when their content does: the schemas as C, and what --version says.
SCHEMAS := $(sort $(wildcard results/schemas/*.json))
$(B)/gen/schema_text.c: FORCE
	@mkdir -p $(@D)
	@tools/lib/embed.sh $@ $(SCHEMAS)
$(B)/gen/lib/buildinfo.h: FORCE
	@tools/lib/buildinfo.sh $@ '$(CC)' '$(strip $(OPT) -ffp-contract=off)' $(CONFIG)
$(B)/tools/lib/buildinfo.o: $(B)/gen/lib/buildinfo.h
$(B)/gen/schema_text.o: $(B)/gen/schema_text.c $(B)/flags.stamp
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(LIBTOOLS): $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcsD $@ $^

$(LIBDRIVE): $(DRIVE_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcsD $@ $^

$(BIN)/%: $(B)/tools/%.o $(LIBDRIVE) $(LIBTOOLS) $(LIBENGINE)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $^ $(LDLIBS) -o $@

-include $(LIB_OBJ:.o=.d) $(DRIVE_OBJ:.o=.d) $(TOOLS_SRC:%.c=$(B)/%.d)

# Manual pages: prose from tools/man, options from the tools, columns from the schemas.
MAN_DIR := $(B)/man/man1
MAN_PAGES := $(TOOLS_SRC:tools/%.c=$(MAN_DIR)/%.1)
$(B)/tools/man/columns.o: CPPFLAGS += -Itools
$(B)/man/columns: $(B)/tools/man/columns.o $(LIBTOOLS) $(LIBENGINE)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $^ $(LDLIBS) -o $@
$(MAN_DIR)/%.1: tools/man/%.1 tools/man/build.sh $(BIN)/% $(B)/man/columns
	$(call say,MAN,$@)
	@mkdir -p $(@D)
	$(Q)tools/man/build.sh $< $(BIN) $(B)/man/columns > $@

.PHONY: man
man: $(MAN_PAGES) ## the manual pages, in build/CONFIG/man (man -l FILE shows one)

-include $(B)/tools/man/columns.d
