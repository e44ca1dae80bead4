/* verify -- `verify`: every signature of an exported file, without a node. */
#include "client.h"
#include "frames.h"
#include "input.h"

static bool on_message(void *arg, uint64_t index, const uint8_t *raw, size_t len)
{
    broker_msg m;

    check_frame(arg, index, raw, len, &m);
    return true;
}

int cmd_verify(client *c, int argc, char **argv)
{
    check_counts counts = {0};
    uint8_t buf[65536];
    frames f;
    input in;
    int64_t n;
    bool ok;

    (void)c;
    if (argc != 1)
        return EXIT_USAGE;
    if (!input_open(&in, argv[0]))
        return EXIT_REFUSED;
    frames_init(&f, on_message, &counts);
    while ((n = input_bytes(&in, buf, sizeof buf)) > 0 && frames_put(&f, buf, (size_t)n))
        ;
    ok = n >= 0 && frames_end(&f);
    if (f.why != NULL)
        fprintf(stderr, "%s, after %llu messages: %s\n", in.name, (unsigned long long)f.n, f.why);
    check_say(&counts, stdout);
    frames_done(&f);
    input_close(&in);
    return ok && counts.invalid == 0 ? EXIT_GOOD : EXIT_REFUSED;
}
