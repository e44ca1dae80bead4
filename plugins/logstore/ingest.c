/* ingest -- from the bus to the disk, a batch at a time.
 *
 * While one batch is written and synced, the next gathers: the slower the disk, the
 * larger the batches, and one fsync pays for all of a batch. */
#include "logstore.h"

#define BATCH_MESSAGES 8192u
#define BATCH_BYTES    (16u << 20)
#define TEND_MS        10000u
#define RETAINED_MAX   100u

typedef struct gathered {
    ingest *in;
    const broker_msg *msgs[BATCH_MESSAGES];
    broker_sub *subs[BATCH_MESSAGES];
    broker_outcome outcomes[BATCH_MESSAGES];
    size_t n, bytes;
} gathered;

struct subscription {
    subscription *next, **at;
    subscription *next_held, **at_held; /* at_held NULL: it took all it was offered */
    ingest *in;
    broker_sub *sub;
};

struct ingest {
    logstore *l;
    subscription *subs;
    subscription *held; /* took less than they were offered */
    gathered *open;     /* being filled */
    gathered *writing;  /* on the worker, or NULL */
    gathered *spare;
    broker_metric *outcomes[BROKER_FULL + 1], *commit_seconds, *commit_messages, *unsynced,
        *disk_free, *slabs, *forgotten_by_age, *forgotten_by_size;
    broker_metric **retained; /* of l->retention[i] with a size; NULL: it has none */
    store_stats told;         /* the writer's */
    broker_timer *timer;
    bool tending, compacting;
    uint64_t equivocation_ns; /* when the last one was logged; the writer's */
};

static void commit_start(ingest *in);

/* A publisher that signs two contents under one id is worth a line, but not one each. [worker] */
static void equivocation_log(ingest *in, const gathered *g)
{
    size_t n = 0;
    const broker_msg *first = NULL;

    for (size_t i = 0; i < g->n; i++)
        if (g->outcomes[i].code == BROKER_EQUIVOCATION) {
            first = first != NULL ? first : g->msgs[i];
            n++;
        }
    if (n == 0 || clock_mono_ns() < in->equivocation_ns + 1000000000u)
        return;
    in->equivocation_ns = clock_mono_ns();
    broker_logf(in->l->ctx, BROKER_LOG_WARN,
                "%zu messages contradict stored ones that their publisher signed too; first kept "
                "(the first in '%.*s', partition %u, timestamp %lld)",
                n, (int)first->stream.len, first->stream.ptr, first->partition,
                (long long)first->timestamp_ms);
}

/* [worker], the writer's lane */
static void stats_tell(ingest *in)
{
    const broker_metrics *m = in->l->metrics;
    store_stats now = store_count(in->l->store);

    m->set(in->slabs, (double)now.slabs);
    m->add(in->forgotten_by_age, (int64_t)(now.forgotten_by_age - in->told.forgotten_by_age));
    m->add(in->forgotten_by_size, (int64_t)(now.forgotten_by_size - in->told.forgotten_by_size));
    in->told = now;
    for (size_t i = 0; i < in->l->n_retention; i++)
        if (in->retained[i] != NULL)
            m->set(in->retained[i], (double)store_retained(in->l->store, i));
}

/* [worker] */
static void commit_run(void *arg)
{
    gathered *g = arg;
    ingest *in = g->in;
    const broker_bus *bus = in->l->bus;
    uint64_t start = clock_mono_ns();

    store_write(in->l->store, g->msgs, g->outcomes, g->n);
    in->l->metrics->observe(in->commit_seconds, (double)(clock_mono_ns() - start) / 1e9);
    in->l->metrics->observe(in->commit_messages, (double)g->n);
    stats_tell(in);
    equivocation_log(in, g);
    for (size_t i = 0; i < g->n; i++)
        in->l->metrics->add(in->outcomes[g->outcomes[i].code], 1);
    /* Settled by subscription; mostly there is one. */
    for (size_t from = 0; from < g->n;) {
        size_t to = from + 1;

        while (to < g->n && g->subs[to] == g->subs[from])
            to++;
        bus->settle(g->subs[from], g->msgs + from, g->outcomes + from, to - from);
        from = to;
    }
}

/* [worker], the writer's lane */
static void tend_run(void *arg)
{
    ingest *in = arg;

    store_tend(in->l->store);
    in->l->metrics->set(in->disk_free, (double)store_disk_free(in->l->store));
    stats_tell(in);
}

static void tend_done(void *arg)
{
    ingest *in = arg;

    in->tending = false;
    logstore_state(in->l);
}

/* [worker] Not in the writer's lane: messages do not wait for it. */
static void compact_run(void *arg)
{
    ingest *in = arg;

    store_compact(in->l->store);
}

static void compact_done(void *arg)
{
    ingest *in = arg;

    in->compacting = false;
}

static void on_tend(void *arg)
{
    ingest *in = arg;

    if (!in->tending)
        in->tending = in->l->work->submit(in->l->ctx, 1, tend_run, tend_done, in) == BROKER_OK;
    if (!in->compacting)
        in->compacting =
            in->l->work->submit(in->l->ctx, 3, compact_run, compact_done, in) == BROKER_OK;
}

static void commit_done(void *arg)
{
    gathered *g = arg;
    ingest *in = g->in;

    in->l->metrics->add(in->unsynced, -(int64_t)g->n);
    g->n = g->bytes = 0;
    in->writing = NULL;
    in->spare = g;
    logstore_state(in->l);
    commit_start(in);
}

/* Nothing of the batch could be written: its messages are their senders' to send again. */
static void commit_refuse(gathered *g)
{
    for (size_t i = 0; i < g->n; i++) {
        g->outcomes[i] = (broker_outcome){BROKER_FAILED, 0, "the host refused the work"};
        g->in->l->bus->settle(g->subs[i], &g->msgs[i], &g->outcomes[i], 1);
    }
    commit_done(g);
}

static void held_drop(subscription *s)
{
    if (s->at_held == NULL)
        return;
    *s->at_held = s->next_held;
    if (s->next_held != NULL)
        s->next_held->at_held = s->at_held;
    s->at_held = NULL;
}

static void held_add(subscription *s)
{
    ingest *in = s->in;

    if (s->at_held != NULL)
        return;
    s->next_held = in->held;
    s->at_held = &in->held;
    if (s->next_held != NULL)
        s->next_held->at_held = &s->next_held;
    in->held = s;
}

static void commit_start(ingest *in)
{
    gathered *g = in->open;

    if (in->writing != NULL || g->n == 0)
        return;
    in->open = in->spare;
    in->spare = NULL;
    in->writing = g;
    if (in->l->work->submit(in->l->ctx, 1, commit_run, commit_done, g) != BROKER_OK)
        commit_refuse(g);
    while (in->held != NULL) {
        subscription *s = in->held;

        held_drop(s);
        in->l->bus->resume(s->sub);
    }
}

static size_t on_msgs(void *self, const broker_msg *const *msgs, size_t n)
{
    subscription *s = self;
    ingest *in = s->in;
    gathered *g = in->open;
    size_t taken = 0;

    while (taken < n && g->n < BATCH_MESSAGES && g->bytes < BATCH_BYTES) {
        g->bytes += msgs[taken]->raw.len;
        g->subs[g->n] = s->sub;
        g->msgs[g->n++] = msgs[taken++];
    }
    in->l->metrics->add(in->unsynced, (int64_t)taken);
    if (taken < n)
        held_add(s);
    else
        held_drop(s);
    commit_start(in);
    return taken;
}

/* A label value, as the text of Prometheus quotes it. */
static void label_put(sb *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        if (*p == '\n')
            sb_puts(out, "\\n");
        else if (*p == '"' || *p == '\\')
            sb_printf(out, "\\%c", *p);
        else
            sb_putc(out, *p);
}

/* What the entries with a size keep; the first RETAINED_MAX of them. */
static bool retained_make(ingest *in)
{
    logstore *l = in->l;
    size_t made = 0;
    bool ok = true;

    in->retained = must_alloc((l->n_retention + 1) * sizeof(broker_metric *));
    for (size_t i = 0; ok && i < l->n_retention && made < RETAINED_MAX; i++) {
        sb label = SB_INIT;

        if (l->retention[i].max_bytes == 0)
            continue;
        sb_puts(&label, "stream=\"");
        label_put(&label, l->retention[i].pattern);
        sb_putc(&label, '"');
        ok = l->metrics->gauge(l->ctx, "retained_bytes", label.data,
                               "Bytes of messages kept by an entry of retention with maxBytes.",
                               &in->retained[i]) == BROKER_OK;
        sb_done(&label);
        made++;
    }
    return ok;
}

static bool metrics_make(ingest *in)
{
    static const char *const names[] = {
        [BROKER_STORED] = "outcome=\"stored\"",
        [BROKER_DUPLICATE] = "outcome=\"duplicate\"",
        [BROKER_VARIANT] = "outcome=\"variant\"",
        [BROKER_EQUIVOCATION] = "outcome=\"equivocation\"",
        [BROKER_REJECTED] = "outcome=\"rejected\"",
        [BROKER_FAILED] = "outcome=\"failed\"",
        [BROKER_FULL] = "outcome=\"full\"",
    };
    static const double seconds[] = {0.001, 0.002, 0.004, 0.008, 0.016,
                                     0.032, 0.064, 0.128, 0.5,   2};
    static const double sizes[] = {1, 4, 16, 64, 256, 1024, 4096, 8192};
    const broker_metrics *m = in->l->metrics;
    broker_ctx *ctx = in->l->ctx;

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (names[i] != NULL &&
            m->counter(ctx, "messages_total", names[i], "Messages by what became of them.",
                       &in->outcomes[i]) != BROKER_OK)
            return false;
    return m->histogram(ctx, "commit_seconds", NULL, "Time to write and sync one batch.", seconds,
                        COUNT_OF(seconds), &in->commit_seconds) == BROKER_OK &&
           m->histogram(ctx, "commit_messages", NULL, "Messages of one batch.", sizes,
                        COUNT_OF(sizes), &in->commit_messages) == BROKER_OK &&
           m->gauge(ctx, "unsynced_messages", NULL, "Messages taken and not yet on disk.",
                    &in->unsynced) == BROKER_OK &&
           m->gauge(ctx, "disk_free_bytes", NULL, "Free bytes of the disk of the store.",
                    &in->disk_free) == BROKER_OK &&
           m->gauge(ctx, "slabs", NULL, "Slabs that the store is divided into; 256 at most.",
                    &in->slabs) == BROKER_OK &&
           m->counter(ctx, "forgotten_messages_total", "limit=\"maxAgeMs\"",
                      "Messages that retention has forgotten.",
                      &in->forgotten_by_age) == BROKER_OK &&
           m->counter(ctx, "forgotten_messages_total", "limit=\"maxBytes\"",
                      "Messages that retention has forgotten.",
                      &in->forgotten_by_size) == BROKER_OK &&
           retained_make(in);
}

/* NULL: the bus refuses it. */
static subscription *subscription_new(ingest *in, broker_str stream, uint32_t partition)
{
    subscription *s = must_alloc(sizeof *s);
    broker_subscription want = {
        .size = sizeof want,
        .flags = BROKER_SUB_DURABLE,
        .stream = stream,
        .partition = partition,
        .on_msgs = on_msgs,
        .self = s,
    };

    s->in = in;
    if (in->l->bus->subscribe(in->l->ctx, &want, &s->sub) != BROKER_OK) {
        free(s);
        return NULL;
    }
    s->next = in->subs;
    s->at = &in->subs;
    if (s->next != NULL)
        s->next->at = &s->next;
    in->subs = s;
    return s;
}

subscription *ingest_take(ingest *in, broker_str stream, uint32_t partition)
{
    return subscription_new(in, stream, partition);
}

/* What was taken is settled when it is written: the bus keeps its side until then. */
void ingest_leave(subscription *s)
{
    s->in->l->bus->unsubscribe(s->sub);
    held_drop(s);
    *s->at = s->next;
    if (s->next != NULL)
        s->next->at = s->at;
    free(s);
}

/* Subscribe to what is tracked: a wildcard or all partitions at once, else one by one. */
static bool subscribe(ingest *in)
{
    for (size_t i = 0; i < in->l->n_tracked; i++) {
        const tracked *t = &in->l->tracked[i];
        broker_str stream = {t->pattern, t->len};

        for (uint32_t p = 0; p < (t->partitions != 0 ? t->partitions : 1); p++)
            if (subscription_new(in, stream, t->partitions != 0 ? p : BROKER_ALL_PARTITIONS) ==
                NULL)
                return false;
    }
    return true;
}

ingest *ingest_new(logstore *l)
{
    ingest *in = must_alloc(sizeof *in);

    in->l = l;
    in->open = must_alloc(sizeof *in->open);
    in->spare = must_alloc(sizeof *in->spare);
    in->open->in = in->spare->in = in;
    if (metrics_make(in) && subscribe(in) &&
        l->work->timer(l->ctx, 0, TEND_MS, on_tend, in, &in->timer) == BROKER_OK)
        return in;
    ingest_free(in);
    return NULL;
}

bool ingest_is_idle(const ingest *in)
{
    return in->writing == NULL && in->open->n == 0 && !in->tending && !in->compacting;
}

void ingest_free(ingest *in)
{
    if (in == NULL)
        return;
    if (in->timer != NULL)
        in->l->work->timer_stop(in->timer);
    while (in->subs != NULL)
        ingest_leave(in->subs);
    free(in->retained);
    free(in->open);
    free(in->spare);
    free(in);
}
