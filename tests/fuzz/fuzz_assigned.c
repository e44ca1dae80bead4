/* The assigned streams of another build, or of a file: any bytes are refused, or mean what is
 * written again in the same way. And any message that can be stored has a line for version 8 that
 * is read as it was, or none. */
#include "assigned.h"
#include "streamr/streamr.h"
#include "v8.h"

static void set_try(const uint8_t *data, size_t size)
{
    static const uint8_t cluster[20] = {0};
    assigned_set *s = assigned_set_new(), *t = assigned_set_new();
    uint64_t position, again;
    sb once = SB_INIT;

    if (assigned_load(s, data, size, cluster, &position)) {
        must(assigned_count(s) <= ASSIGNED_STREAMS_MAX);
        assigned_save(s, cluster, position, &once);
        must(once.len == size);
        must(assigned_load(t, once.data, once.len, cluster, &again));
        must(position == again && assigned_count(s) == assigned_count(t));
    }
    sb_done(&once);
    assigned_set_free(s);
    assigned_set_free(t);
}

static void line_try(const uint8_t *data, size_t size)
{
    broker_msg m, again;
    sb line = SB_INIT, store = SB_INIT;
    const char *end;

    if (streamr_decode(data, size, &m) == NULL && v8_line(&m, &line) == V8_FITS) {
        end = memchr(line.data, '\n', line.len);
        must(end == line.data + line.len - 1);
        if (streamr_json_decode(line.data, line.len - 1, &store, &again) == NULL) {
            m.signature_type = BROKER_SIGNATURE_LEGACY;
            must(streamr_same_payload(&m, &again));
        }
    }
    sb_done(&line);
    sb_done(&store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    set_try(data, size);
    line_try(data, size);
    return 0;
}
