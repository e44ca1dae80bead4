/* frames -- see frames.h. Frames that lie whole in a piece are not copied. */
#include "frames.h"
#include "streamr/streamr.h"

#define HEAD 4u

void frames_init(frames *f, frames_each each, void *arg)
{
    *f = (frames){.each = each, .arg = arg};
}

void frames_done(frames *f)
{
    sb_done(&f->left);
}

/* The whole length of the frame whose first four bytes are at p; 0: it cannot
 * be. */
static size_t frame_size(frames *f, const uint8_t *p)
{
    uint32_t n = get_u32be(p);

    if (n <= STREAMR_MESSAGE_MAX)
        return HEAD + n;
    f->why = "a length of more than 1 MiB; these are not length-prefixed "
             "messages, or bytes are "
             "missing before it";
    return 0;
}

/* Move bytes into the incomplete frame until it has `wanted`. Whether it has
 * them now. */
static bool left_fill(frames *f, view *in, size_t wanted)
{
    size_t n = f->left.len < wanted ? wanted - f->left.len : 0;

    if (n > view_left(in))
        n = view_left(in);
    sb_append(&f->left, in->p, n);
    in->p += n;
    return f->left.len >= wanted;
}

/* Go on with the frame that began in an earlier piece. False: as frames_put().
 */
static bool left_go_on(frames *f, view *in)
{
    size_t size;
    bool more;

    if (!left_fill(f, in, HEAD))
        return true;
    size = frame_size(f, (const uint8_t *)f->left.data);
    if (size == 0)
        return false;
    if (!left_fill(f, in, size))
        return true;
    more = f->each(f->arg, f->n++, (const uint8_t *)f->left.data + HEAD, size - HEAD);
    sb_clear(&f->left);
    return more;
}

bool frames_put(frames *f, const uint8_t *bytes, size_t len)
{
    view in = view_of(bytes, len);

    if (f->why != NULL)
        return false;
    while (view_left(&in) != 0) {
        size_t size = 0;

        if (f->left.len == 0 && view_left(&in) >= HEAD) {
            size = frame_size(f, in.p);
            if (size == 0)
                return false;
        }
        if (size == 0 || size > view_left(&in)) {
            if (!left_go_on(f, &in))
                return false;
            continue;
        }
        if (!f->each(f->arg, f->n++, in.p + HEAD, size - HEAD))
            return false;
        in.p += size;
    }
    return true;
}

bool frames_end(frames *f)
{
    if (f->why == NULL && f->left.len != 0)
        f->why = "the bytes end inside a message";
    return f->why == NULL;
}
