/* Any bytes: they are refused with a reason, or read, and then reading what is written of
 * them gives the same message and the same signed payload. */
#include "streamr/streamr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sb first = SB_INIT, second = SB_INIT, signed_m = SB_INIT, signed_again = SB_INIT;
    broker_msg m, again;
    const char *why;

    if (streamr_decode(data, size, &m) != NULL)
        return 0;
    streamr_encode(&m, &first);
    why = streamr_decode(first.data, first.len, &again);
    must(why == NULL);
    must(streamr_same_identity(&m, &again) && streamr_same_payload(&m, &again));
    must((m.flags | BROKER_MSG_HAS_UNKNOWN) == (again.flags | BROKER_MSG_HAS_UNKNOWN));
    streamr_encode(&again, &second);
    must(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    streamr_signed_payload(&m, &signed_m);
    streamr_signed_payload(&again, &signed_again); /* again points into first */
    must(signed_m.len == signed_again.len);
    must(memcmp(signed_m.data, signed_again.data, signed_m.len) == 0);
    sb_done(&first);
    sb_done(&second);
    sb_done(&signed_m);
    sb_done(&signed_again);
    return 0;
}
