/* fuzz_exports -- symbols of a file that says it is a shared library. */
#include "exports.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sb out = SB_INIT;

    exports_find(data, size, &out);
    sb_done(&out);
    return 0;
}
