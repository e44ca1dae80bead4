/* The manifest reader takes any file: it must refuse or read, never run over. */
#include "plugin/manifest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    broker_manifest m;
    char why[256] = "";

    if (manifest_parse(data, size, &m, why, sizeof why) == BROKER_OK) {
        if (manifest_check(&m, why, sizeof why) != BROKER_OK && strlen(why) == 0)
            abort(); /* a refusal without a reason */
    } else if (strlen(why) == 0) {
        abort();
    }
    return 0;
}
