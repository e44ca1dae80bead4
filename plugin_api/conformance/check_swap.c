/* check_swap -- state: handed over, taken back, and spoilt. */
#include "checks.h"

#include "life.h"
#include "request.h"

#define CUTS_MAX    64u
#define CHANGES_MAX 128u

void check_restart(const subject *s)
{
    sb state = SB_INIT;
    life l;

    life_init(&l, s->im, s->section);
    if (life_create(&l) && life_start(&l, NULL)) {
        life_traffic(&l);
        for (int i = 0; i < 2 && life_quiesce(&l, &state); i++) {
            scene_set("when it was started again");
            if (!life_start(&l, &state))
                break;
            life_traffic(&l);
        }
        if (l.k->phase == PHASE_RUNNING)
            life_quiesce(&l, &state);
    }
    life_destroy(&l);
    sb_done(&state);
}

/* As the broker does it: the new one is created while the old one serves, and the old one
 * is destroyed when the new one does. */
void check_swap(const subject *s)
{
    sb state = SB_INIT, why = SB_INIT;
    image next;
    life before, after;

    if (!image_open(s->file, &next, &why)) {
        finding("a second copy cannot be loaded: %s", why.data);
        goto done;
    }
    life_init(&before, s->im, s->section);
    life_init(&after, &next, s->section);
    if (life_create(&before) && life_start(&before, NULL)) {
        life_traffic(&before);
        scene_set("in the build that takes over");
        if (life_create(&after)) {
            scene_set("while the next build is created");
            life_traffic(&before);
            if (life_quiesce(&before, &state)) {
                scene_set("in the build that takes over");
                life_start(&after, &state);
                life_traffic(&after);
            }
        }
    }
    life_destroy(&before);
    if (after.k->phase == PHASE_RUNNING) {
        life_traffic(&after);
        life_quiesce(&after, &state);
    }
    life_destroy(&after);
done:
    sb_done(&state);
    sb_done(&why);
}

/* Requests whose bodies are half read, answers that are half sent. */
static void cross(life *before, life *after)
{
    sb state = SB_INIT;
    crossing *all;

    http_begin_held(before->k);
    if (!life_create(after))
        return;
    life_prepare(before);
    all = crossing_save(before->k);
    if (life_quiesce(before, &state) && life_start(after, &state)) {
        for (const crossing *c = all; c != NULL; c = c->next) {
            scene_set("in the build that takes over a half read %s",
                      c->is_body ? "answer" : "request");
            crossing_resume(after->k, c, c->saved.len);
        }
        for (const crossing *c = all; c != NULL; c = c->next)
            for (size_t cut = 0; cut < c->saved.len && cut < CUTS_MAX; cut++) {
                scene_set("when what save() wrote was cut to %zu bytes", cut);
                crossing_resume(after->k, c, cut);
            }
        scene_end();
        life_quiesce(after, &state);
    }
    while (all != NULL) {
        crossing *c = all;

        all = c->next;
        crossing_free(c);
    }
    sb_done(&state);
}

void check_crossing(const subject *s)
{
    sb why = SB_INIT;
    image next;
    life before, after;

    if (!image_open(s->file, &next, &why)) {
        finding("a second copy cannot be loaded: %s", why.data);
        sb_done(&why);
        return;
    }
    life_init(&before, s->im, s->section);
    life_init(&after, &next, s->section);
    if (life_create(&before) && life_start(&before, NULL))
        cross(&before, &after);
    life_destroy(&before);
    life_destroy(&after);
}

/* ---- spoilt state ---- */

/* A start with this state may fail; nothing else may happen. */
static void try_state(const subject *s, const sb *state)
{
    sb ignored = SB_INIT;
    life l;

    life_init(&l, s->im, s->section);
    l.may_fail = true;
    if (life_create(&l) && life_start(&l, state)) {
        bus_traffic(l.k, 1);
        http_begin(l.k);
        http_finish(l.k);
        life_quiesce(&l, &ignored);
    }
    life_destroy(&l);
    sb_done(&ignored);
}

static void try_bytes(const subject *s, const void *bytes, size_t len)
{
    sb state = SB_INIT;

    sb_append(&state, bytes, len);
    try_state(s, &state);
    sb_done(&state);
}

static void try_cuts(const subject *s, const sb *good)
{
    size_t step = good->len / CUTS_MAX + 1;

    for (size_t len = 1; len < good->len; len += step) {
        scene_set("with its state cut to %zu of %zu bytes", len, good->len);
        try_bytes(s, good->data, len);
    }
}

static void try_changes(const subject *s, sb *good)
{
    static const uint8_t flips[] = {0x01, 0x80, 0xff};
    size_t step = 3 * good->len / CHANGES_MAX + 1;

    for (size_t at = 0; at < good->len; at += step)
        for (size_t i = 0; i < COUNT_OF(flips); i++) {
            scene_set("with byte %zu of its state changed by 0x%02x", at, flips[i]);
            good->data[at] = (char)((uint8_t)good->data[at] ^ flips[i]);
            try_state(s, good);
            good->data[at] = (char)((uint8_t)good->data[at] ^ flips[i]);
        }
}

static void try_foreign(const subject *s, const sb *good)
{
    uint8_t noise[4096];
    sb more = SB_INIT;
    uint32_t x = 1;

    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)((x = x * 1664525u + 1013904223u) >> 24);
    for (size_t len = 1; len <= sizeof noise; len *= 2) {
        scene_set("with %zu bytes of foreign state", len);
        try_bytes(s, noise, len);
    }
    memset(noise, 0xff, sizeof noise);
    scene_set("with state of 0xff");
    try_bytes(s, noise, sizeof noise);
    scene_set("with bytes behind its state");
    sb_append(&more, good->data != NULL ? good->data : "", good->len);
    sb_append(&more, noise, 16);
    try_state(s, &more);
    scene_set("with 8 MiB of state");
    memset(sb_room(&more, 8u << 20), 0, 8u << 20);
    more.len += 8u << 20;
    try_state(s, &more);
    sb_done(&more);
}

void check_bad_state(const subject *s)
{
    sb good = SB_INIT;
    bool ok = false;
    life l;

    life_init(&l, s->im, s->section);
    if (life_create(&l) && life_start(&l, NULL)) {
        life_traffic(&l);
        ok = life_quiesce(&l, &good);
    }
    life_destroy(&l);
    if (ok) {
        try_cuts(s, &good);
        try_changes(s, &good);
        try_foreign(s, &good);
    }
    sb_done(&good);
}
