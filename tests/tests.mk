# Unit tests: one cmocka program per tests/unit/*.c. Command tests: tests/cli/*.sh. All speak TAP;
# tests/run.sh adds them up and ends with one line `N passed, M failed, K skipped`.
UNIT_SRC := $(sort $(wildcard tests/unit/*.c))
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(B)/tests/%)
CLI_TESTS := $(sort $(wildcard tests/cli/*.sh))

$(UNIT_SRC:%.c=$(B)/%.o): CPPFLAGS += -Itools -Itests

$(B)/tests/%: $(B)/tests/unit/%.o $(LIBDRIVE) $(LIBTOOLS) $(LIBENGINE)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $^ $(LDLIBS) -lcmocka -o $@

.PHONY: unit-bin
unit-bin: $(UNIT_BIN)

.PHONY: check-unit
check-unit: $(UNIT_BIN) ## unit tests of CONFIG
	$(Q)BIN=$(BIN) tests/run.sh $(UNIT_BIN)

-include $(UNIT_SRC:%.c=$(B)/%.d)
