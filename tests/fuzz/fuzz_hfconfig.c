/* Any bytes as config.json, and again as generation_config.json: what is accepted is a model whose
 * sizes can be multiplied without a second thought. */
#include <stdint.h>

#include "config_check.h"
#include "format/hfconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model_config c;
    struct err err = ERR_INIT;
    const char *text = (const char *)data;
    if (hfconfig_parse(&c, text, size, "fuzz", &err) == OK)
        config_check(&c);
    else
        demand(err.status != OK && err.text[0] != '\0');
    c = (struct model_config){.vocab_size = 640};
    err = (struct err)ERR_INIT;
    if (hfconfig_add_generation(&c, text, size, "fuzz", &err) == OK)
        config_check_stops(&c);
    else
        demand(err.text[0] != '\0');
    return 0;
}
