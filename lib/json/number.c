/* number -- see schema_parts.h.
 *
 * Configurations say 0.01 and mean a hundredth, which no double is: both numbers are
 * taken as the shortest decimal that reads back as them. */
#include "json/schema_parts.h"

#include <stdlib.h>

typedef struct decimal {
    uint64_t digits;
    int exponent; /* of ten */
} decimal;

static decimal decimal_of(const json_t *v)
{
    char text[40];
    decimal d = {0, 0};
    double x;
    char *e;

    if (json_is_integer(v)) {
        json_int_t i = json_integer_value(v);

        d.digits = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
        return d;
    }
    x = json_real_value(v);
    for (int precision = 0; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, x);
        if (strtod(text, NULL) == x)
            break;
    }
    e = strchr(text, 'e');
    if (e == NULL)
        return d;
    d.exponent = (int)strtol(e + 1, NULL, 10);
    for (char *p = text, *point = NULL; p < e; p++) {
        if (*p == '.')
            point = p;
        else if (*p >= '0' && *p <= '9') {
            d.digits = d.digits * 10 + (uint64_t)(*p - '0');
            d.exponent -= point != NULL;
        }
    }
    return d;
}

bool number_is_multiple(const json_t *x, const json_t *m)
{
    decimal a = decimal_of(x), b = decimal_of(m);
    unsigned __int128 rest;

    if (a.digits == 0)
        return true;
    if (b.digits == 0)
        return false;
    while (b.exponent > a.exponent) { /* a must then end in zeros */
        if (a.digits % 10 != 0)
            return false;
        a.digits /= 10;
        a.exponent++;
    }
    rest = a.digits % b.digits;
    for (int i = b.exponent; i < a.exponent; i++)
        rest = rest * 10 % b.digits;
    return rest == 0;
}
