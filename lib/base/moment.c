/* moment -- a moment as people write it. See base.h. Strict, and by hand: strptime() takes spaces,
 * short fields and the 31st of February. */
#include "base/base.h"

#define MOMENT_MAX_MS 8640000000000000 /* of a JavaScript Date */

static bool take(view *v, char c)
{
    if (view_left(v) == 0 || *v->p != (uint8_t)c)
        return false;
    v->p++;
    return true;
}

static bool digits(view *v, unsigned n, unsigned least, unsigned most, unsigned *out)
{
    unsigned x = 0;

    for (unsigned i = 0; i < n; i++) {
        if (view_left(v) == 0 || *v->p < '0' || *v->p > '9')
            return false;
        x = x * 10 + (unsigned)(*v->p++ - '0');
    }
    *out = x;
    return x >= least && x <= most;
}

static unsigned month_days(unsigned year, unsigned month)
{
    static const unsigned char days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

/* Days from 1970-01-01; year from 1970 on. */
static int64_t days_since_epoch(unsigned year, unsigned month, unsigned day)
{
    unsigned before = year - 1;
    int64_t days = (int64_t)(year - 1970) * 365 + (before / 4 - before / 100 + before / 400) -
                   (1969 / 4 - 1969 / 100 + 1969 / 400);

    for (unsigned m = 1; m < month; m++)
        days += month_days(year, m);
    return days + day - 1;
}

/* ".123456": milliseconds, the rest cut off. */
static bool fraction(view *v, unsigned *ms)
{
    unsigned scale = 100, n = 0;

    *ms = 0;
    if (!take(v, '.') && !take(v, ','))
        return true;
    for (; view_left(v) != 0 && *v->p >= '0' && *v->p <= '9'; v->p++, n++) {
        *ms += (unsigned)(*v->p - '0') * scale;
        scale /= 10;
    }
    return n != 0;
}

/* "Z", "+01:00", "-0330" or nothing. */
static bool offset(view *v, int64_t *out_ms)
{
    unsigned hours, minutes;
    bool west;

    *out_ms = 0;
    if (view_left(v) == 0 || take(v, 'Z') || take(v, 'z'))
        return true;
    west = take(v, '-');
    if (!west && !take(v, '+'))
        return false;
    if (!digits(v, 2, 0, 23, &hours))
        return false;
    take(v, ':');
    if (!digits(v, 2, 0, 59, &minutes))
        return false;
    *out_ms = (int64_t)(hours * 60 + minutes) * 60000 * (west ? -1 : 1);
    return true;
}

static bool iso_read(view v, int64_t *out_ms)
{
    unsigned year, month, day, hour = 0, minute = 0, second = 0, ms = 0;
    int64_t east_ms = 0;

    if (!digits(&v, 4, 1970, 9999, &year) || !take(&v, '-') || !digits(&v, 2, 1, 12, &month) ||
        !take(&v, '-') || !digits(&v, 2, 1, month_days(year, month), &day))
        return false;
    if (take(&v, 'T') || take(&v, 't') || take(&v, ' ')) {
        if (!digits(&v, 2, 0, 23, &hour) || !take(&v, ':') || !digits(&v, 2, 0, 59, &minute))
            return false;
        if (take(&v, ':') && (!digits(&v, 2, 0, 59, &second) || !fraction(&v, &ms)))
            return false;
        if (!offset(&v, &east_ms))
            return false;
    }
    *out_ms = days_since_epoch(year, month, day) * 86400000 +
              (int64_t)((hour * 60 + minute) * 60 + second) * 1000 + ms - east_ms;
    return view_left(&v) == 0;
}

bool moment_read(const char *text, size_t len, int64_t *out_ms)
{
    int64_t ms;

    if (!parse_i64(text, len, &ms) && !iso_read(view_of(text, len), &ms))
        return false;
    if (ms < 0 || ms > MOMENT_MAX_MS)
        return false;
    *out_ms = ms;
    return true;
}
