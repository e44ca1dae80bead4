/* life -- see life.h. */
#include "life.h"

#define DEADLINE_NS (10ull * 1000000000u)
#define STATE_MAX   (64u << 20)

static bool failure_check(life *l, const char *step, broker_rc rc)
{
    const char *why = l->k->why;

    if (rc == BROKER_OK)
        return true;
    if (rc > 0)
        finding("%s() returned %d; it is BROKER_OK or negative", step, rc);
    else if (why == NULL)
        finding("%s() failed (%d) and gave no reason; return host->fail(ctx, rc, why)", step, rc);
    else if (!l->may_fail)
        finding("%s() failed: %s", step, why);
    return false;
}

void life_init(life *l, const image *im, json_t *section)
{
    *l = (life){im, kit_new(im->manifest.name, section), NULL, false};
}

bool life_create(life *l)
{
    broker_rc rc = BROKER_EIO;

    l->k->phase = PHASE_CREATE;
    CROSS("create", rc = l->im->table->create(&l->k->ctx, &l->self));
    l->k->phase = PHASE_CREATED;
    return failure_check(l, "create", rc);
}

bool life_start(life *l, const sb *state)
{
    /* Borrowed: gone when start() has returned. */
    uint8_t *copy = state != NULL && state->len != 0 ? must_alloc(state->len) : NULL;
    broker_bytes bytes = {copy, copy != NULL ? state->len : 0};
    broker_rc rc = BROKER_EIO;

    if (copy != NULL)
        memcpy(copy, state->data, state->len);
    l->k->phase = PHASE_RUNNING;
    CROSS("start", rc = l->im->table->start(l->self, bytes));
    if (copy != NULL)
        memset(copy, 0xdd, state->len);
    free(copy);
    if (rc != BROKER_OK)
        l->k->phase = PHASE_CREATED; /* what comes next is destroy() */
    return failure_check(l, "start", rc);
}

void life_traffic(life *l)
{
    kit_run(1000);
    bus_traffic(l->k, 2);
    http_traffic(l->k);
    transport_traffic(l->k);
    verify_traffic(l->k);
    net_traffic(l->k);
    kit_run(60000);
}

void life_prepare(life *l)
{
    uint64_t deadline = clock_mono_ns() + DEADLINE_NS;
    broker_rc rc = BROKER_AGAIN;

    while (l->im->table->prepare != NULL && rc == BROKER_AGAIN && clock_mono_ns() < deadline) {
        CROSS("prepare", rc = l->im->table->prepare(l->self));
        kit_run(5);
    }
    if (l->im->table->prepare != NULL && rc == BROKER_AGAIN)
        finding("prepare() said BROKER_AGAIN for 10 seconds");
}

broker_rc life_quiesce_once(life *l, sb *state)
{
    broker_rc rc = BROKER_EIO;
    kit_writer w;

    writer_init(&w, STATE_MAX);
    CROSS("quiesce", rc = l->im->table->quiesce(l->self, &w.w));
    sb_clear(state);
    sb_append(state, w.bytes.data != NULL ? w.bytes.data : "", w.bytes.len);
    sb_done(&w.bytes);
    if (rc == BROKER_AGAIN)
        return rc;
    failure_check(l, "quiesce", rc);
    l->k->phase = PHASE_QUIET;
    kit_forget(l->k);
    return rc;
}

void life_check_quiet(life *l)
{
    char *held;

    kit_run(1000);
    held = kit_held(l->k);
    if (held != NULL)
        finding("quiesce() returned BROKER_OK and it still holds %s", held);
    free(held);
}

bool life_quiesce(life *l, sb *state)
{
    uint64_t deadline = clock_mono_ns() + DEADLINE_NS;
    broker_rc rc = BROKER_AGAIN;

    life_prepare(l);
    while (rc == BROKER_AGAIN && clock_mono_ns() < deadline) {
        rc = life_quiesce_once(l, state);
        kit_run(5);
    }
    if (rc == BROKER_AGAIN) {
        char *held = kit_held(l->k);

        finding("quiesce() said BROKER_AGAIN for 10 seconds%s%s", held != NULL ? "; it holds " : "",
                held != NULL ? held : "");
        free(held);
        return false;
    }
    life_check_quiet(l);
    return rc == BROKER_OK;
}

void life_destroy(life *l)
{
    if (l->k->phase != PHASE_QUIET)
        kit_forget(l->k);
    kit_run(1000);
    if (l->self != NULL)
        CROSS("destroy", l->im->table->destroy(l->self));
    l->k->phase = PHASE_GONE;
    kit_run(1000);
    kit_free(l->k);
    *l = (life){0};
}

void life_whole(const image *im, json_t *section, bool traffic)
{
    sb state = SB_INIT;
    life l;

    life_init(&l, im, section);
    if (life_create(&l) && life_start(&l, NULL)) {
        kit_run(1000);
        if (traffic)
            life_traffic(&l);
        life_quiesce(&l, &state);
    }
    life_destroy(&l);
    sb_done(&state);
}
