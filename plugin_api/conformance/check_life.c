/* check_life -- one instance, and what it does with traffic. */
#include "checks.h"

#include "life.h"

static void files_new(const census *before, const char *when)
{
    census now = census_of_files();
    sb name = SB_INIT;

    for (size_t i = 0; i < now.n; i++)
        if (!census_has(before, now.items[i])) {
            sb_clear(&name);
            file_say(now.items[i], &name);
            finding("%s opened '%s'; resources are opened in start()", when, name.data);
        }
    sb_done(&name);
    census_done(&now);
}

void check_create(const subject *s)
{
    life first, second;
    census before;
    bool ok;

    life_init(&first, s->im, s->section);
    life_init(&second, s->im, s->section);
    before = census_of_files();
    ok = life_create(&first);
    files_new(&before, "create()");
    census_done(&before);
    /* As before a swap: the build before is alive. */
    if (ok)
        life_create(&second);
    life_destroy(&second);
    life_destroy(&first);
}

/* A life in which `during` happens. */
static void live(const subject *s, void (*during)(life *l))
{
    sb state = SB_INIT;
    life l;

    life_init(&l, s->im, s->section);
    if (life_create(&l) && life_start(&l, NULL)) {
        kit_run(1000);
        during(&l);
        life_quiesce(&l, &state);
    }
    life_destroy(&l);
    sb_done(&state);
}

static void idle(life *l)
{
    (void)l;
    kit_run(60000);
}

static void requests(life *l)
{
    http_traffic(l->k);
}

static void messages(life *l)
{
    bus_traffic(l->k, 10);
}

static void peers(life *l)
{
    transport_traffic(l->k);
    verify_traffic(l->k);
    net_traffic(l->k);
}

/* The host asks when every request is ended, with the rest of it under way. */
static void busy(life *l)
{
    sb state = SB_INIT;
    broker_rc rc;

    http_begin(l->k);
    http_finish(l->k);
    kit_hold(true);
    bus_begin(l->k, 3);
    kit_run(0);
    rc = life_quiesce_once(l, &state);
    if (rc != BROKER_AGAIN)
        life_check_quiet(l); /* before anything comes back */
    kit_hold(false);
    if (rc != BROKER_AGAIN) {
        kit_run(1000);
        scene_set("after a quiesce() in the middle of things");
        life_start(l, &state);
    } /* or the host gives up: all goes on */
    life_traffic(l);
    scene_end();
    sb_done(&state);
}

void check_life(const subject *s)
{
    live(s, idle);
}

void check_requests(const subject *s)
{
    live(s, requests);
}

void check_messages(const subject *s)
{
    live(s, messages);
}

void check_peers(const subject *s)
{
    live(s, peers);
}

void check_busy(const subject *s)
{
    live(s, busy);
}
