# One executable per tools/*.c, linked with tools/drive (measuring over engine.h), tools/lib (knows
# base only) and the engine.
TOOLS_SRC := $(sort $(wildcard tools/*.c))
TOOLS_BIN := $(TOOLS_SRC:tools/%.c=$(BIN)/%)
LIB_SRC := $(sort $(wildcard tools/lib/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
LIBTOOLS := $(B)/libtools.a
DRIVE_SRC := $(sort $(wildcard tools/drive/*.c))
DRIVE_OBJ := $(DRIVE_SRC:%.c=$(B)/%.o)
LIBDRIVE := $(B)/libdrive.a

$(LIB_OBJ) $(DRIVE_OBJ) $(TOOLS_SRC:%.c=$(B)/%.o): CPPFLAGS += -Itools

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
