/* The state of another build: any bytes are refused, or mean what is written again in the same
 * way. */
#include "state.h"

static void write_all(const session *list, size_t n, sb *out)
{
    state_begin(out, n);
    for (size_t i = 0; i < n; i++)
        state_add(out, &list[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sb once = SB_INIT, twice = SB_INIT;
    session *list, *again;
    size_t n, m;

    if (state_read((broker_bytes){data, size}, &list, &n) != NULL)
        return 0;
    write_all(list, n, &once);
    must(state_read((broker_bytes){(const uint8_t *)once.data, once.len}, &again, &m) == NULL);
    write_all(again, m, &twice);
    must(n == m && once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    sessions_free(list, n);
    sessions_free(again, m);
    sb_done(&once);
    sb_done(&twice);
    return 0;
}
