/* check_torture -- what a plugin does when the host cannot do what it asks for. */
#include "checks.h"

#include "life.h"

#define TIME_MAX_NS (120ull * 1000000000u)

/* A life with everything in it, in which something fails. Returns whether it was asked for. */
static void torture(const subject *s, kit *blueprint, unsigned counts[CALL_KINDS])
{
    sb state = SB_INIT;
    life l;

    life_init(&l, s->im, s->section);
    l.may_fail = true;
    l.k->missing = blueprint->missing;
    l.k->failing = blueprint->failing;
    l.k->fail_nth = blueprint->fail_nth;
    if (life_create(&l) && life_start(&l, NULL)) {
        bus_traffic(l.k, 2);
        http_traffic(l.k);
        transport_traffic(l.k);
        verify_traffic(l.k);
        net_traffic(l.k);
        life_quiesce(&l, &state);
    }
    for (int i = 0; counts != NULL && i < CALL_KINDS; i++)
        counts[i] = l.k->counts[i];
    life_destroy(&l);
    sb_done(&state);
}

void check_missing(const subject *s)
{
    for (size_t i = 0; i < kit_n_services; i++) {
        kit blueprint = {.missing = kit_services[i].id};

        scene_set("on a host without %s", blueprint.missing);
        torture(s, &blueprint, NULL);
    }
    scene_end();
}

/* The first dozen calls of a kind, and the last. */
static bool is_tried(unsigned nth, unsigned count)
{
    return nth <= 12 || nth == count;
}

void check_failures(const subject *s)
{
    unsigned counts[CALL_KINDS];
    kit none = {.fail_nth = 0};
    uint64_t end = clock_mono_ns() + TIME_MAX_NS;

    torture(s, &none, counts);
    for (int which = 0; which < CALL_KINDS; which++)
        for (unsigned nth = 1; call_rules[which].failure != 0 && nth <= counts[which]; nth++) {
            kit blueprint = {.failing = (call)which, .fail_nth = nth};

            if (!is_tried(nth, counts[which]) || clock_mono_ns() > end)
                continue;
            scene_set("when call %u of %s() failed", nth, call_rules[which].name);
            torture(s, &blueprint, NULL);
        }
    scene_end();
}
