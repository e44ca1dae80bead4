/* check -- whether messages are genuine, without asking anybody. See client.h.
 */
#include "client.h"
#include "streamr/streamr.h"

#define SAID_MAX 10u /* a wrong file would say it a million times */

bool check_frame(check_counts *n, uint64_t index, const uint8_t *raw, size_t len, broker_msg *m)
{
    const char *why = streamr_decode(raw, len, m);
    streamr_check result = why == NULL ? streamr_verify(m, &why) : STREAMR_INVALID;

    switch (result) {
    case STREAMR_VALID:
        n->valid++;
        return true;
    case STREAMR_UNVERIFIABLE:
        n->unverifiable++;
        return true;
    case STREAMR_INVALID:
        break;
    }
    if (n->invalid < SAID_MAX)
        fprintf(stderr, "message %llu: %s\n", (unsigned long long)index, why);
    else if (n->invalid == SAID_MAX)
        fputs("further invalid messages are counted only\n", stderr);
    n->invalid++;
    return false;
}

void check_say(const check_counts *n, FILE *out)
{
    fprintf(out,
            "%llu messages: %llu valid, %llu invalid, %llu that cannot be "
            "checked offline\n",
            (unsigned long long)(n->valid + n->invalid + n->unverifiable),
            (unsigned long long)n->valid, (unsigned long long)n->invalid,
            (unsigned long long)n->unverifiable);
}
