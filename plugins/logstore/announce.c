/* announce -- see announce.h. */
#include "announce.h"

#include "chain_streams.h"
#include "eth/eth.h"
#include "streamr_parts.h"

#define IN_FLIGHT_MAX  64u
#define WAITING_MAX    64u   /* looked at, one after another, for whether they wait */
#define NEIGHBOR_MS    5000u /* for the first neighbour in a part */
#define CHECK_AGAIN_MS 10000u
#define RETRY_MS       1000u
#define RETRY_MAX_MS   60000u

typedef enum check { CHECK_WAITS, CHECK_EXISTS, CHECK_MAY, CHECK_PASSED } check;

struct announce {
    logstore *l;
    assigned_set *set;
    broker_peer *chain, *network;
    sb stream;
    uint8_t own[20];
    check check;
    uint64_t check_ms, retry_ms, delay_ms;
    assigned *first, **last; /* with parts nobody was told of */
    size_t in_flight;
    bool full; /* the bus is, and calls back */
    sb trouble;
    broker_metric *told, *failed;
};

/* A part that is being told of. It may be taken from us meanwhile. */
typedef struct telling {
    announce *a;
    sb stream;
    uint32_t partition;
} telling;

static void pump(announce *a);

static uint64_t now_ms(const announce *a)
{
    return a->l->work->now_ms(a->l->ctx);
}

/* ---- may we ---- */

static void trouble_set(announce *a, check failed)
{
    char own[43];

    eth_address_text(a->own, own);
    sb_clear(&a->trouble);
    if (failed == CHECK_EXISTS)
        sb_printf(
            &a->trouble,
            "nobody can be told which streams this node stores: the stream '%s' is not on the "
            "chain, create it and let %s publish to it",
            a->stream.data, own);
    else
        sb_printf(&a->trouble,
                  "nobody can be told which streams this node stores: %s may not publish to the "
                  "stream '%s', give it that right",
                  own, a->stream.data);
}

static void check_later(announce *a)
{
    a->check = CHECK_WAITS;
    a->check_ms = now_ms(a) + CHECK_AGAIN_MS;
}

static void check_ask(announce *a, check what);

static void check_answered(announce *a, int64_t value)
{
    if (a->check == CHECK_EXISTS && value != 0) {
        check_ask(a, CHECK_MAY);
        return;
    }
    if (value != 0) {
        a->check = CHECK_PASSED;
        sb_clear(&a->trouble);
        pump(a);
        return;
    }
    trouble_set(a, a->check);
    check_later(a);
}

static void on_check(void *arg, broker_rc rc, int64_t value, const char *why)
{
    announce *a = arg;

    (void)why; /* the chain plugin says so itself */
    if (rc == BROKER_OK)
        check_answered(a, value);
    else
        check_later(a);
}

static void check_ask(announce *a, check what)
{
    chain_question q = {
        .size = sizeof q,
        .what = what == CHECK_EXISTS ? CHAIN_PARTITIONS : CHAIN_MAY_PUBLISH,
        .stream = {a->stream.data, a->stream.len},
        .user = {a->own, sizeof a->own},
        .flags = CHAIN_ANEW,
    };
    void *self;
    const chain_streams *chain = a->l->registry->enter(a->chain, &self);
    int64_t value = 0;
    broker_rc rc;

    if (chain == NULL) {
        check_later(a);
        a->check_ms = now_ms(a); /* as soon as there is one */
        return;
    }
    a->check = what;
    rc = chain->ask(self, &q, &value, on_check, a);
    a->l->registry->leave(a->chain);
    if (rc == BROKER_OK)
        check_answered(a, value);
    else if (rc != BROKER_AGAIN)
        check_later(a);
}

/* ---- telling ---- */

static void line_put(announce *a, assigned *s)
{
    if (s->in_line)
        return;
    s->in_line = true;
    s->next_untold = NULL;
    *a->last = s;
    a->last = &s->next_untold;
}

static void line_take(announce *a)
{
    assigned *s = a->first;

    a->first = s->next_untold;
    if (a->first == NULL)
        a->last = &a->first;
    s->in_line = false;
}

void announce_forget(announce *a, assigned *s)
{
    if (!s->in_line)
        return;
    for (assigned **at = &a->first; *at != NULL; at = &(*at)->next_untold)
        if (*at == s) {
            *at = s->next_untold;
            break;
        }
    for (a->last = &a->first; *a->last != NULL;)
        a->last = &(*a->last)->next_untold;
    s->in_line = false;
}

static void try_later(announce *a, const char *why)
{
    a->delay_ms = a->delay_ms == 0                 ? RETRY_MS
                  : a->delay_ms * 2 < RETRY_MAX_MS ? a->delay_ms * 2
                                                   : RETRY_MAX_MS;
    if (a->retry_ms <= now_ms(a)) /* of many that fail together one is enough */
        broker_logf(a->l->ctx, BROKER_LOG_WARN,
                    "cannot tell in '%s' which streams this node stores (%s), trying again in "
                    "%llu s",
                    a->stream.data, why, (unsigned long long)a->delay_ms / 1000);
    a->retry_ms = now_ms(a) + a->delay_ms;
}

static bool was_published(int32_t code)
{
    return code == BROKER_STORED || code == BROKER_NO_STORE || code == BROKER_DUPLICATE ||
           code == BROKER_VARIANT;
}

static void on_published(void *arg, const broker_msg *m, const broker_outcome *outcome)
{
    telling *t = arg;
    announce *a = t->a;
    assigned *s = assigned_find(a->set, (broker_str){t->stream.data, t->stream.len});
    assigned_part *part = s != NULL && t->partition < s->n_parts ? &s->parts[t->partition] : NULL;
    bool published = was_published(outcome->code);

    (void)m;
    a->in_flight--;
    a->l->metrics->add(published ? a->told : a->failed, 1);
    if (published)
        a->delay_ms = 0;
    else
        try_later(a, outcome->reason != NULL ? outcome->reason : "it was refused");
    if (outcome->code == BROKER_DENIED)
        check_later(a);
    if (part != NULL) {
        part->telling = false;
        part->told = part->told || published;
        if (!part->told)
            line_put(a, s);
    }
    sb_done(&t->stream);
    free(t);
    pump(a);
}

static void on_room(void *arg)
{
    announce *a = arg;

    a->full = false;
    pump(a);
}

/* False: not now. */
static bool publish(announce *a, assigned *s, uint32_t partition)
{
    telling *t = must_alloc(sizeof *t);
    sb part = SB_INIT, content = SB_INIT;
    broker_publication p = {.size = sizeof p,
                            .stream = {a->stream.data, a->stream.len},
                            .content_type = BROKER_CONTENT_JSON,
                            .done = on_published,
                            .arg = t};
    broker_rc rc;

    sb_append(&part, s->stream, s->len);
    sb_printf(&part, "#%u", partition);
    sb_puts(&content, "{\"streamPart\":");
    sb_json_string(&content, part.data, part.len);
    sb_putc(&content, '}');
    p.content = (broker_bytes){(const uint8_t *)content.data, content.len};
    *t = (telling){.a = a, .partition = partition};
    sb_append(&t->stream, s->stream, s->len);
    rc = a->l->bus->publish(a->l->ctx, &p);
    sb_done(&part);
    sb_done(&content);
    if (rc == BROKER_OK) {
        a->in_flight++;
        s->parts[partition].telling = true;
        return true;
    }
    sb_done(&t->stream);
    free(t);
    if (rc == BROKER_AGAIN && a->l->bus->on_room(a->l->ctx, on_room, a) == BROKER_OK)
        a->full = true;
    else
        try_later(a, "the host does not publish");
    return false;
}

/* Whether somebody was told of the part now could publish to it, and the message not come here. */
static bool is_deaf(announce *a, const assigned *s, uint32_t partition)
{
    const streamr_parts *parts;
    bool deaf = false;
    void *self;

    if (now_ms(a) - s->parts[partition].since_ms >= NEIGHBOR_MS)
        return false;
    parts = a->l->registry->enter(a->network, &self);
    if (parts == NULL)
        return false;
    deaf = parts->neighbors(self, assigned_id(s), partition) <= 0;
    a->l->registry->leave(a->network);
    return deaf;
}

typedef enum next { NEXT_PUBLISHED, NEXT_WAITS, NEXT_NOTHING, NEXT_NOT_NOW } next;

/* The next part of a stream that somebody can be told of. */
static next publish_next(announce *a, assigned *s)
{
    next found = NEXT_NOTHING;

    for (uint32_t p = 0; p < s->n_parts; p++) {
        const assigned_part *part = &s->parts[p];

        if (!part->taken || part->told || part->telling)
            continue;
        if (!is_deaf(a, s, p))
            return publish(a, s, p) ? NEXT_PUBLISHED : NEXT_NOT_NOW;
        found = NEXT_WAITS;
    }
    return found;
}

static bool may_publish(const announce *a)
{
    return a->check == CHECK_PASSED && !a->full && a->in_flight < IN_FLIGHT_MAX &&
           now_ms(a) >= a->retry_ms;
}

static void pump(announce *a)
{
    unsigned waiting = 0;

    while (a->first != NULL && waiting < WAITING_MAX && may_publish(a)) {
        assigned *s = a->first;
        next done = publish_next(a, s);

        if (done == NEXT_NOT_NOW)
            return;
        if (done == NEXT_PUBLISHED)
            continue;
        line_take(a);
        if (done == NEXT_WAITS) {
            line_put(a, s);
            waiting++;
        }
    }
}

void announce_stream(announce *a, assigned *s)
{
    line_put(a, s);
    pump(a);
}

void announce_tick(announce *a, uint64_t now)
{
    if (a->check == CHECK_WAITS && now >= a->check_ms)
        check_ask(a, CHECK_EXISTS);
    pump(a);
}

bool announce_is_idle(const announce *a)
{
    return a->in_flight == 0;
}

const char *announce_trouble(const announce *a)
{
    return a->trouble.len != 0 ? a->trouble.data : NULL;
}

/* ---- life ---- */

announce *announce_new(logstore *l, assigned_set *set)
{
    static const char help[] = "Messages that tell which stream parts this node has taken.";
    announce *a = must_alloc(sizeof *a);
    char address[43];

    a->l = l;
    a->set = set;
    a->last = &a->first;
    eth_address_text(l->cluster.address, address);
    sb_printf(&a->stream, "%s/assignments", address);
    if (l->sign->address(l->ctx, a->own) == BROKER_OK &&
        l->metrics->counter(l->ctx, "announcements_total", "outcome=\"published\"", help,
                            &a->told) == BROKER_OK &&
        l->metrics->counter(l->ctx, "announcements_total", "outcome=\"failed\"", help,
                            &a->failed) == BROKER_OK &&
        l->registry->follow(l->ctx, CHAIN_STREAMS_ID, &a->chain) == BROKER_OK &&
        l->registry->follow(l->ctx, STREAMR_PARTS_ID, &a->network) == BROKER_OK)
        return a;
    announce_free(a);
    return NULL;
}

void announce_free(announce *a)
{
    const chain_streams *chain;
    void *self;

    if (a == NULL)
        return;
    chain = a->chain != NULL ? a->l->registry->enter(a->chain, &self) : NULL;
    if (chain != NULL) {
        chain->cancel(self, a);
        a->l->registry->leave(a->chain);
    }
    sb_done(&a->stream);
    sb_done(&a->trouble);
    free(a);
}
