/* A WebSocket's request and its frames are any bytes: up to the first empty line a head, then frames
 * in pieces whose length the input decides. */
#include "net/frames.h"
#include "net/upgrade.h"

static void message(void *self, const uint8_t *bytes, size_t len, bool text)
{
    must(len <= 4096 && (!text || utf8_ok(bytes, len)));
    *(size_t *)self += len;
}

static void put(void *self, const uint8_t *bytes, size_t len)
{
    (void)self, (void)bytes;
    must(len <= 127 + 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    size_t head_len = head_length((const char *)bytes, len), total = 0;
    frames_calls calls = {&total, message, put};
    char accept[UPGRADE_ACCEPT_LEN + 1];
    const char *why;
    frames *f;
    head h;

    if (head_len != 0 && head_parse((const char *)bytes, head_len, &h, &why) == 0)
        upgrade_check(&h, accept);
    f = frames_new(4096, &calls);
    for (size_t at = head_len; at < len;) {
        size_t n = bytes[at] % 64 + 1u;

        n = n < len - at ? n : len - at;
        if (!frames_feed(f, bytes + at, n))
            break;
        at += n;
    }
    frames_close(f, 1001, "bye");
    frames_free(f);
    return 0;
}
