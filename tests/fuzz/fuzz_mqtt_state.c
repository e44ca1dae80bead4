/* Any bytes as the state of the build before: refused whole, or taken; what was taken can be
 * written, read again, and works. */
#include "tests/unit/mqtt_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fake_init();
    for (size_t i = 0; i < 3; i++) {
        fake.conns[i].open = true;
        fake.conns[i].id = ++fake.conn_ids;
    }
    fake.n_conns = 3;
    sb_append(&fake.state, data, size);
    if (fake_start() == BROKER_OK) {
        fake_tick(1);
        fake_message("x.eth/t", 0, "{}");
        while (fake.n_over < fake.n_posts)
            fake_outcome(BROKER_STORED, NULL);
        must(fake_quiesce() == BROKER_OK);
        must(fake_start() == BROKER_OK);
        while (fake.n_over < fake.n_posts)
            fake_outcome(BROKER_STORED, NULL);
    }
    fake_done();
    return 0;
}
