/* entry -- see entry.h. */
#include "control/entry.h"

#include <stdlib.h>

#define ARENA         (256u * 1024u)
#define TICK_MS       250u
#define FETCHES       512u /* at once */
#define STORES_A_TICK 16u

typedef struct point {
    pb_bytes descriptor; /* own memory */
    node_id id;
    int64_t retry_ms; /* when it is dialled again */
    uint32_t pause_ms;
    bool locked;
} point;

typedef struct fetch {
    struct fetch *next, **at;
    entry *en;
    node_id key;
    size_t tries;
    entry_found found;
    void *arg;
    bool waits;       /* for an entry point to be connected */
    int64_t until_ms; /* then it has failed */
} fetch;

typedef struct announcement {
    struct announcement *next;
    node_id key;
} announcement;

struct entry {
    peers *p;
    point *points;
    size_t n, turn;
    bool held;
    peers_watch watch;
    peers_timer *timer;
    fetch *fetches;
    size_t n_fetches;
    announcement *first, **last; /* that wait */
    size_t n_waiting;
    uint8_t *memory;
};

/* ---- connections ---- */

static void ask_waiting(entry *en);

static point *point_of(const entry *en, const node_id *id)
{
    for (size_t i = 0; i < en->n; i++)
        if (node_id_same(&en->points[i].id, id))
            return &en->points[i];
    return NULL;
}

static void on_connected(void *arg, const node_id *id, pb_bytes descriptor)
{
    entry *en = arg;
    point *e = point_of(en, id);

    (void)descriptor;
    if (e == NULL)
        return;
    e->pause_ms = ENTRY_RETRY_MS;
    if (!e->locked)
        peers_lock(en->p, id);
    e->locked = true;
    ask_waiting(en);
}

static void on_lost(void *arg, const node_id *id, peers_loss how)
{
    entry *en = arg;
    point *e = point_of(en, id);

    (void)how;
    if (e == NULL)
        return;
    e->locked = false;
    e->retry_ms = peers_now_ms(en->p) + e->pause_ms;
}

static void keep_connected(entry *en, int64_t now_ms)
{
    for (size_t i = 0; i < en->n; i++) {
        point *e = &en->points[i];

        if (en->held || now_ms < e->retry_ms || peers_connected(en->p, &e->id))
            continue;
        peers_connect(en->p, e->descriptor);
        e->retry_ms = now_ms + e->pause_ms;
        e->pause_ms = e->pause_ms < ENTRY_RETRY_MAX / 2 ? e->pause_ms * 2 : ENTRY_RETRY_MAX;
    }
}

/* One that is connected, another one each time. */
static const point *next_point(entry *en)
{
    for (size_t i = 0; i < en->n; i++) {
        const point *e = &en->points[en->turn++ % en->n];

        if (peers_connected(en->p, &e->id))
            return e;
    }
    return NULL;
}

bool entry_is_point(const entry *en, const node_id *id)
{
    return point_of(en, id) != NULL;
}

bool entry_ready(const entry *en)
{
    for (size_t i = 0; i < en->n; i++)
        if (peers_connected(en->p, &en->points[i].id))
            return true;
    return false;
}

/* ---- fetching ---- */

static void fetch_free(fetch *f)
{
    *f->at = f->next;
    if (f->next != NULL)
        f->next->at = f->at;
    f->en->n_fetches--;
    free(f);
}

static void fetch_end(fetch *f, bool ok, const pb_bytes *list, size_t n)
{
    entry_found found = f->found;
    void *arg = f->arg;

    fetch_free(f);
    found(arg, ok, list, n);
}

static bool fetch_ask(fetch *f);

static size_t entries_read(entry *en, const envelope *answer, pb_bytes out[ENTRY_FOUND])
{
    pb_arena arena = {en->memory, ARENA, 0};
    dht_fetch_response r;
    size_t n = 0;

    if (envelope_open(answer, &dht_fetch_response_table, &r, &arena) != NULL)
        return 0;
    for (uint32_t i = 0; i < r.entries.n && n < ENTRY_FOUND; i++) {
        const dht_entry *e = ((dht_entry **)r.entries.items)[i];
        node_id id;

        if (e->deleted || e->data == NULL || e->data->value.len > DESCRIPTOR_MAX ||
            !pb_bytes_are(wire_type_name(e->data->type_url), dht_peer_table.name) ||
            !peer_node_id(e->data->value, &id) || node_id_same(&id, peers_self(en->p)))
            continue;
        out[n++] = e->data->value;
    }
    return n;
}

static void on_fetched(void *arg, peers_result result, const envelope *answer)
{
    fetch *f = arg;
    pb_bytes list[ENTRY_FOUND];
    size_t n;

    if (result == PEERS_ANSWERED) {
        n = entries_read(f->en, answer, list);
        fetch_end(f, true, list, n);
    } else if (!fetch_ask(f))
        fetch_end(f, false, NULL, 0);
}

static bool fetch_ask(fetch *f)
{
    entry *en = f->en;
    dht_fetch_request q = {.key = node_id_bytes(&f->key)};
    peers_message m = {.service = "layer0",
                       .method = "externalFetchData",
                       .table = &dht_fetch_request_table,
                       .msg = &q};
    const point *e = f->tries++ < en->n ? next_point(en) : NULL;

    if (e == NULL)
        return false;
    m.to = e->descriptor;
    return peers_ask(en->p, &m, ENTRY_ASK_MS, on_fetched, f);
}

bool entry_fetch(entry *en, const node_id *key, entry_found found, void *arg)
{
    fetch *f;

    if (en->n_fetches >= FETCHES)
        return false;
    f = must_alloc(sizeof *f);
    f->en = en;
    f->key = *key;
    f->found = found;
    f->arg = arg;
    f->next = en->fetches;
    f->at = &en->fetches;
    if (f->next != NULL)
        f->next->at = &f->next;
    en->fetches = f;
    en->n_fetches++;
    f->until_ms = peers_now_ms(en->p) + (en->n != 0 ? ENTRY_WAIT_MS : 0);
    f->waits = !fetch_ask(f);
    return true;
}

void entry_cancel(entry *en, const void *arg)
{
    for (fetch *f = en->fetches, *next; f != NULL; f = next) {
        next = f->next;
        if (f->arg != arg)
            continue;
        peers_cancel(en->p, f);
        fetch_free(f);
    }
}

static fetch *failed_one(const entry *en, int64_t now_ms)
{
    fetch *f = en->fetches;

    while (f != NULL && !(f->waits && now_ms >= f->until_ms))
        f = f->next;
    return f;
}

/* found() may fetch and cancel: the list is walked anew each time, and not for ever. */
static void tell_failed(entry *en, int64_t now_ms)
{
    fetch *f;

    for (size_t n = en->n_fetches; n > 0 && (f = failed_one(en, now_ms)) != NULL; n--)
        fetch_end(f, false, NULL, 0);
}

static void ask_waiting(entry *en)
{
    for (fetch *f = en->fetches; f != NULL; f = f->next)
        if (f->waits) {
            f->tries = 0;
            f->waits = !fetch_ask(f);
        }
}

/* ---- announcing ---- */

static void on_stored(void *arg, peers_result result, const envelope *answer)
{
    (void)arg, (void)result, (void)answer; /* it is said again soon anyway */
}

static bool announce_one(entry *en, const node_id *key)
{
    pb_bytes own = peers_descriptor(en->p);
    rpc_any any = {.type_url = pb_bytes_of(WIRE_TYPE_PREFIX "dht.PeerDescriptor"), .value = own};
    dht_external_store_request q = {.key = node_id_bytes(key), .data = &any};
    peers_message m = {.service = "layer0",
                       .method = "externalStoreData",
                       .table = &dht_external_store_request_table,
                       .msg = &q};
    const point *e = next_point(en);

    if (e == NULL)
        return false;
    m.to = e->descriptor;
    return peers_ask(en->p, &m, ENTRY_ASK_MS, on_stored, en);
}

static void forget_first(entry *en)
{
    announcement *a = en->first;

    en->first = a->next;
    if (en->first == NULL)
        en->last = &en->first;
    en->n_waiting--;
    free(a);
}

/* A few at a time: an entry point has others to serve. */
static void announce_some(entry *en)
{
    for (size_t n = 0; en->first != NULL && n < STORES_A_TICK; n++) {
        if (!announce_one(en, &en->first->key))
            return;
        forget_first(en);
    }
}

void entry_announce(entry *en, const node_id *key)
{
    announcement *a;

    if (en->n_waiting >= ENTRY_WAITING)
        forget_first(en); /* the oldest has been said again, or will be */
    a = must_alloc(sizeof *a);
    a->key = *key;
    *en->last = a;
    en->last = &a->next;
    en->n_waiting++;
}

/* ---- life ---- */

static void on_tick(void *arg)
{
    entry *en = arg;
    keep_connected(en, peers_now_ms(en->p));
    tell_failed(en, peers_now_ms(en->p));
    announce_some(en);
}

entry *entry_new(peers *p, const pb_bytes *descriptors, size_t n)
{
    entry *en = must_alloc(sizeof *en);

    en->p = p;
    en->held = true;
    en->last = &en->first;
    en->memory = must_alloc(ARENA);
    en->points = must_alloc((n + 1) * sizeof *en->points);
    for (size_t i = 0; i < n; i++) {
        point *e = &en->points[en->n];
        uint8_t *copy;

        if (!peer_node_id(descriptors[i], &e->id) || node_id_same(&e->id, peers_self(p)))
            continue;
        copy = must_alloc(descriptors[i].len + 1);
        memcpy(copy, descriptors[i].ptr, descriptors[i].len);
        e->descriptor = pb_bytes_from(copy, descriptors[i].len);
        e->pause_ms = ENTRY_RETRY_MS;
        en->n++;
    }
    en->watch = (peers_watch){.arg = en, .connected = on_connected, .lost = on_lost};
    peers_watch_add(p, &en->watch);
    en->timer = peers_timer_start(p, 1, TICK_MS, on_tick, en);
    return en;
}

void entry_hold(entry *en, bool held)
{
    en->held = held;
    if (!held)
        keep_connected(en, peers_now_ms(en->p));
}

void entry_free(entry *en)
{
    if (en == NULL)
        return;
    peers_timer_end(en->timer);
    peers_watch_remove(en->p, &en->watch);
    peers_cancel(en->p, en);
    while (en->fetches != NULL) {
        peers_cancel(en->p, en->fetches);
        fetch_free(en->fetches);
    }
    while (en->first != NULL)
        forget_first(en);
    for (size_t i = 0; i < en->n; i++)
        free((void *)en->points[i].descriptor.ptr);
    free(en->points);
    free(en->memory);
    free(en);
}
