/* frames -- u32be length and that many bytes, from pieces of any size. See client.h. */
#include "client.h"
#include "streamr/streamr.h"

void frames_start(frames *f, bool (*each)(void *arg, uint64_t index, broker_bytes raw), void *arg)
{
    *f = (frames){.each = each, .arg = arg};
}

/* How long the frame at p is, length included; 0: not known yet. */
static size_t frame_len(frames *f, const uint8_t *p, size_t len)
{
    uint32_t n;

    if (len < 4)
        return 0;
    n = get_u32be(p);
    if (n > STREAMR_MESSAGE_MAX) {
        f->broken = true;
        f->why = "a frame claims to be longer than 1 MiB; is this a file of length-prefixed "
                 "messages?";
        return 0;
    }
    return 4 + (size_t)n;
}

bool frames_put(frames *f, const uint8_t *bytes, size_t len)
{
    while (len != 0 || f->left.len != 0) {
        const uint8_t *p = bytes;
        size_t have = len, need;

        if (f->left.len != 0) { /* complete the frame that is begun, no more */
            size_t want = f->left.len < 4 ? 4 : frame_len(f, (uint8_t *)f->left.data, f->left.len);
            size_t take = want - f->left.len < len ? want - f->left.len : len;

            sb_append(&f->left, bytes, take);
            bytes += take;
            len -= take;
            p = (const uint8_t *)f->left.data;
            have = f->left.len;
        }
        need = frame_len(f, p, have);
        if (f->broken)
            return false;
        if (need == 0 || have < need) {
            if (p == bytes)
                sb_append(&f->left, p, have);
            else if (len != 0)
                continue; /* its length is known now; go on filling */
            return true;
        }
        if (!f->each(f->arg, f->index++, (broker_bytes){p + 4, need - 4}))
            return false;
        if (p == bytes) {
            bytes += need;
            len -= need;
        } else {
            sb_clear(&f->left);
        }
    }
    return true;
}

bool frames_end(frames *f)
{
    bool whole = f->left.len == 0;

    sb_done(&f->left);
    return whole && !f->broken;
}
