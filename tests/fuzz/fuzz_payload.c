/* Any text as a payload: nothing is read outside it, what is taken is one JSON object inside it,
 * a wrapped content comes back out of the wrapper, and finding members needs no valid text. */
#include "payload/member.h"
#include "payload/payload.h"
#include "streamr/streamr.h"

static void route(broker_str content)
{
    sb key = SB_INIT, why = SB_INIT;
    uint32_t partition;

    if (payload_route(content, (broker_str){"id", 2}, 7, &partition, &key, &why))
        must(partition == BROKER_ALL_PARTITIONS ? utf8_ok(key.data, key.len) : partition < 7);
    else
        must(why.len != 0);
    sb_done(&key);
    sb_done(&why);
}

static void rewrap(broker_str content)
{
    broker_msg m = {.size = sizeof m,
                    .body = BROKER_BODY_CONTENT,
                    .content = {(const uint8_t *)content.ptr, content.len}};
    broker_str inside = member_trim(content);
    sb out = SB_INIT, why = SB_INIT;
    payload again;

    must(payload_write(&m, true, &out) == PAYLOAD_WRITTEN);
    if (payload_read((broker_str){out.data, out.len}, true, &again, &why))
        must(again.content.len == inside.len &&
             memcmp(again.content.ptr, inside.ptr, inside.len) == 0);
    else
        must(strstr(why.data, "nested") != NULL || strstr(why.data, "timestamp") != NULL);
    sb_done(&out);
    sb_done(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    broker_str text = {(const char *)data, size};
    sb why = SB_INIT, means = SB_INIT;
    payload p;

    for (int wrapped = 0; wrapped < 2; wrapped++) {
        sb_clear(&why);
        if (!payload_read(text, wrapped != 0, &p, &why)) {
            must(why.len != 0);
            continue;
        }
        must(p.content.ptr >= text.ptr && p.content.ptr + p.content.len <= text.ptr + size);
        must(streamr_json_valid(p.content.ptr, p.content.len));
        route(p.content);
        rewrap(p.content);
    }
    member_find(text, (broker_str){"content", 7});
    member_text(text, &means);
    sb_done(&why);
    sb_done(&means);
    return 0;
}
