/* Any bytes from several connections, with outcomes, messages, full buses and swaps between them:
 * the plugin never reads outside them, never answers twice, never leaks. Each step of the input is
 * a byte that says what happens, and for bytes of a client their number. */
#include "tests/unit/mqtt_fake.h"

#define CONNS  4
#define STREAM "x.eth/t"

static void swap(void)
{
    while (fake.n_over < fake.n_posts)
        fake_outcome(BROKER_NO_STORE, NULL);
    fake_room();
    while (fake.n_over < fake.n_posts)
        fake_outcome(BROKER_STORED, NULL);
    must(fake_quiesce() == BROKER_OK);
    must(fake_start() == BROKER_OK);
}

static void step(view *in, uint8_t what)
{
    broker_conn *c = &fake.conns[what % CONNS];
    const uint8_t *bytes;
    uint8_t len;

    switch (what >> 4) {
    case 0:
        if (fake.n_over < fake.n_posts)
            fake_outcome(1 + what % 10, NULL);
        break;
    case 1:
        fake_message(STREAM, 0, (what & 4) != 0 ? "{\"a\":1}" : "[]");
        break;
    case 2:
        fake.bus_full = true;
        break;
    case 3:
        fake_room();
        break;
    case 4:
        if (c->open)
            c->slow = true;
        break;
    case 5:
        if (c->open && c->told)
            fake_drain(c);
        break;
    case 6:
        fake_tick(7000);
        break;
    case 7:
        fake_end(c);
        break;
    case 8:
        swap();
        break;
    default:
        if (!view_u8(in, &len) || !view_skip(in, len, &bytes)) {
            in->p = in->end;
            return;
        }
        fake_bytes(c, bytes, len);
    }
    /* A connection the plugin has closed ends, and another one takes its place. */
    for (size_t i = 0; i < CONNS; i++) {
        if (fake.conns[i].open && !fake.conns[i].asked_to_close)
            continue;
        fake_end(&fake.conns[i]);
        sb_done(&fake.conns[i].sent);
        memset(&fake.conns[i], 0, sizeof fake.conns[i]);
        fake.n_conns = i;
        fake_open();
        fake.n_conns = CONNS;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    view in = view_of(data, size);
    uint8_t what;

    fake_init();
    must(fake_start() == BROKER_OK);
    for (size_t i = 0; i < CONNS; i++)
        fake_open();
    while (view_u8(&in, &what) && fake.n_posts < FAKE_POSTS / 2)
        step(&in, what);
    swap();
    fake_done();
    return 0;
}
