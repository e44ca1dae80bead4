/* when -- see when.h. strptime() finds the fields; that the 31st of February is
 * no date shows when the day is written back. */
#include "when.h"

/* ".25": milliseconds. NULL: a point without digits. */
static const char *fraction(const char *p, int64_t *ms)
{
    int64_t scale = 100;

    if (*p != '.')
        return p;
    if (p[1] < '0' || p[1] > '9')
        return NULL;
    for (p++; *p >= '0' && *p <= '9'; p++) {
        *ms += (*p - '0') * scale;
        scale /= 10;
    }
    return p;
}

/* "Z", "+01:00" or nothing, to the end. */
static bool offset(const char *p, int64_t *east_ms)
{
    struct tm tm = {0};
    int sign = *p == '-' ? -1 : 1;

    if (*p == '\0' || strcmp(p, "Z") == 0)
        return true;
    if (*p != '+' && *p != '-')
        return false;
    p = strptime(p + 1, "%H:%M", &tm);
    *east_ms = sign * (int64_t)(tm.tm_hour * 60 + tm.tm_min) * 60000;
    return p != NULL && *p == '\0';
}

/* What follows the date. */
static bool time_of_day(const char *p, struct tm *tm, int64_t *ms, int64_t *east_ms)
{
    if (*p == '\0')
        return true;
    if (*p != 'T' && *p != ' ')
        return false;
    p = strptime(p + 1, "%H:%M", tm);
    if (p != NULL && *p == ':') {
        p = strptime(p + 1, "%S", tm);
        if (p != NULL)
            p = fraction(p, ms);
    }
    return p != NULL && offset(p, east_ms);
}

bool when_read(const char *text, int64_t *out_ms)
{
    struct tm tm = {0};
    char day[32];
    int64_t ms = 0, east_ms = 0;
    const char *rest;

    if (parse_i64(text, strlen(text), &ms)) {
        if (ms >= 0)
            *out_ms = ms;
        return ms >= 0;
    }
    rest = strptime(text, "%Y-%m-%d", &tm);
    if (rest == NULL || !time_of_day(rest, &tm, &ms, &east_ms))
        return false;
    ms += (int64_t)timegm(&tm) * 1000 - east_ms;
    if (strftime(day, sizeof day, "%Y-%m-%d", &tm) != 10 || strncmp(day, text, 10) != 0 || ms < 0)
        return false;
    *out_ms = ms;
    return true;
}
