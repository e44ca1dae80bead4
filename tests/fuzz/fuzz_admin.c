/* A request to the admin socket is any bytes. */
#include "admin/admin.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    admin_request r;
    sb why = SB_INIT;
    bool ok;

    if (admin_request_read(bytes, len, &r, &why) == 1)
        admin_request_done(&r);
    admin_answer_read(bytes, len, &ok, &why);
    sb_done(&why);
    return 0;
}
