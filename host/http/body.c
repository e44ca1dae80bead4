/* body -- see body.h. */
#include "http/body.h"

enum {
    OVER,
    DATA,
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA_CR,
    DATA_LF,
    TRAILER,
    TRAILER_LINE,
    TRAILER_LF,
    END_LF
};

#define LINE_MAX_LEN 4096u

void body_none(body_reader *r)
{
    *r = (body_reader){.state = OVER};
}

void body_sized(body_reader *r, uint64_t length)
{
    *r = (body_reader){.state = length != 0 ? DATA : OVER, .left = length};
}

void body_chunks(body_reader *r)
{
    *r = (body_reader){.chunked = true, .state = SIZE};
}

bool body_is_over(const body_reader *r)
{
    return r->state == OVER;
}

static int digit(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* One byte of what stands between chunks. */
static bool framing(body_reader *r, uint8_t c)
{
    switch (r->state) {
    case SIZE:
        if (digit(c) >= 0 && r->digits < 15) {
            r->left = r->left * 16 + (unsigned)digit(c);
            r->digits++;
            return true;
        }
        if (r->digits == 0)
            return false;
        r->line = 0;
        r->state = c == ';' ? EXTENSION : SIZE_LF;
        return c == ';' || c == '\r';
    case EXTENSION:
        if (c == '\r')
            r->state = SIZE_LF;
        return c != '\n' && ++r->line < LINE_MAX_LEN;
    case SIZE_LF:
        r->state = r->left != 0 ? DATA : TRAILER;
        r->digits = 0;
        r->line = 0;
        return c == '\n';
    case DATA_CR:
        r->state = DATA_LF;
        return c == '\r';
    case DATA_LF:
        r->state = SIZE;
        return c == '\n';
    case TRAILER:
        r->state = c == '\r' ? END_LF : TRAILER_LINE;
        return c != '\n' && ++r->line < LINE_MAX_LEN;
    case TRAILER_LINE:
        if (c == '\r')
            r->state = TRAILER_LF;
        return c != '\n' && ++r->line < LINE_MAX_LEN;
    case TRAILER_LF:
        r->state = TRAILER;
        return c == '\n';
    default: /* END_LF */
        r->state = OVER;
        return c == '\n';
    }
}

bool body_read(body_reader *r, const uint8_t *p, size_t len, size_t *used, size_t *part)
{
    size_t at = 0;

    *part = 0;
    while (at < len && r->state != OVER) {
        if (r->state == DATA) {
            size_t n = len - at < r->left ? len - at : (size_t)r->left;

            r->left -= n;
            if (r->left == 0)
                r->state = r->chunked ? DATA_CR : OVER;
            *part = n;
            at += n;
            break;
        }
        if (!framing(r, p[at++]))
            return false;
    }
    *used = at;
    return true;
}
