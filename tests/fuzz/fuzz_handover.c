/* What another build left of an answer or an upload is any bytes. */
#include "handover.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    answer_progress a;
    upload_progress u;

    if (answer_progress_read(bytes, len, &a))
        answer_progress_done(&a);
    if (upload_progress_read(bytes, len, &u))
        upload_progress_done(&u);
    return 0;
}
