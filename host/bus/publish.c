/* publish -- messages this node writes: numbered on the loop, signed on workers.
 *
 * One chain a stream part and process start, beside those that callers name: each
 * message refers to the one before it, so subscribers notice a gap. A chain that was not
 * used for long is forgotten; its next message begins it anew. */
#include "bus/parts.h"

#include "eth/eth.h"
#include "streamr/streamr.h"

#define CHAIN_SLOTS  4096u
#define CHAINS_MAX   65536u /* a stranger may name any stream */
#define CHAIN_ID_LEN 20
#define CHAIN_ID_MAX 256

struct chain {
    struct chain *next;
    struct chain *older, *newer; /* by use */
    chain **slot;
    char *stream;
    size_t stream_len;
    uint32_t partition;
    bool named; /* by a caller */
    char *id;
    size_t id_len;
    bool has_last;
    int64_t last_ms;
    int32_t last_sequence;
};

struct publication {
    struct publication *next;
    ticket *ticket;
    uint32_t partition, content_type;
    int64_t timestamp_ms;
    sb stream; /* normalised */
    sb key;
    sb chain; /* empty: the node's own */
    sb content;
};

static void publication_free(publication *p)
{
    sb_done(&p->stream);
    sb_done(&p->key);
    sb_done(&p->chain);
    sb_done(&p->content);
    free(p);
}

/* ---- chains ---- */

/* Put c at the newest end. */
static void chain_use(bus *b, chain *c)
{
    if (b->newest_chain == c)
        return;
    if (c->newer != NULL) { /* it is in the list */
        c->newer->older = c->older;
        *(c->older != NULL ? &c->older->newer : &b->oldest_chain) = c->newer;
    }
    c->older = b->newest_chain;
    c->newer = NULL;
    *(c->older != NULL ? &c->older->newer : &b->oldest_chain) = c;
    b->newest_chain = c;
}

static void chain_free(chain *c)
{
    free(c->stream);
    free(c->id);
    free(c);
}

static void oldest_forget(bus *b)
{
    chain *c = b->oldest_chain, **at = c->slot;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    b->oldest_chain = c->newer;
    c->newer->older = NULL; /* there are CHAINS_MAX of them */
    b->n_chains--;
    chain_free(c);
}

static void id_make(char id[CHAIN_ID_LEN])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    uint8_t random[CHAIN_ID_LEN];

    random_bytes(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        id[i] = letters[random[i] % (sizeof letters - 1)];
}

static bool chain_is(const chain *c, const publication *p, uint32_t partition)
{
    return c->partition == partition && c->stream_len == p->stream.len &&
           memcmp(c->stream, p->stream.data, p->stream.len) == 0 &&
           c->named == (p->chain.len != 0) &&
           (!c->named ||
            (c->id_len == p->chain.len && memcmp(c->id, p->chain.data, c->id_len) == 0));
}

static chain *chain_of(bus *b, const publication *p, uint32_t partition)
{
    uint64_t hash = hash_bytes(p->stream.data, p->stream.len) + partition;
    chain **slot, *c;

    if (p->chain.len != 0)
        hash += hash_bytes(p->chain.data, p->chain.len);
    slot = &b->chains[hash % CHAIN_SLOTS];
    for (c = *slot; c != NULL; c = c->next)
        if (chain_is(c, p, partition))
            break;
    if (c == NULL) {
        if (b->n_chains == CHAINS_MAX)
            oldest_forget(b);
        c = must_alloc(sizeof *c);
        c->stream = must_strndup(p->stream.data, p->stream.len);
        c->stream_len = p->stream.len;
        c->partition = partition;
        c->named = p->chain.len != 0;
        c->id_len = c->named ? p->chain.len : CHAIN_ID_LEN;
        c->id = c->named ? must_strndup(p->chain.data, p->chain.len) : must_alloc(CHAIN_ID_LEN);
        if (!c->named)
            id_make(c->id);
        c->slot = slot;
        c->next = *slot;
        *slot = c;
        b->n_chains++;
    }
    chain_use(b, c);
    return c;
}

/* The next place in the chain. NULL, or why there is none. */
static const char *chain_advance(chain *c, int64_t wanted_ms, broker_msg *m)
{
    int64_t at = wanted_ms != 0 ? wanted_ms : clock_wall_ms();

    if (c->has_last) {
        if (at < c->last_ms && wanted_ms != 0)
            return "the timestamp is before the previous message of this node in the stream";
        if (at < c->last_ms)
            at = c->last_ms; /* the clock was set back */
        m->flags |= BROKER_MSG_HAS_PREV;
        m->prev_timestamp_ms = c->last_ms;
        m->prev_sequence = c->last_sequence;
        m->sequence = at == c->last_ms ? c->last_sequence + 1 : 0;
    }
    m->timestamp_ms = at;
    m->chain = (broker_str){c->id, c->id_len};
    c->has_last = true;
    c->last_ms = at;
    c->last_sequence = m->sequence;
    return NULL;
}

static uint32_t partition_of(bus *b, const publication *p)
{
    uint32_t n;

    if (p->partition != BROKER_ALL_PARTITIONS)
        return p->partition;
    n = bus_partitions(b, (broker_str){p->stream.data, p->stream.len});
    return p->key.len == 0 || n < 2 ? 0 : streamr_key_partition(n, p->key.data, p->key.len);
}

/* ---- signing ---- */

/* Copies of what a message points to until it is encoded. */
typedef struct draft {
    publication *publication;
    char chain[CHAIN_ID_MAX];
} draft;

typedef struct signing {
    draft drafts[BATCH_MAX];
} signing;

/* [worker] Encode all into one arena, then read each back: its fields must lie in its
 * raw bytes. */
static void batch_sign(job *j)
{
    msg_batch *batch = CONTAINER_OF(j, struct msg_batch, job);
    bus *b = batch->owner;
    signing *s = (signing *)(void *)batch->arena;
    sb arena = SB_INIT;
    size_t at[BATCH_MAX + 1];

    for (uint32_t i = 0; i < batch->n; i++) {
        broker_msg *m = &batch->msgs[i].m;
        uint8_t sig[65];

        at[i] = arena.len;
        m->publisher = (broker_bytes){b->address, sizeof b->address};
        streamr_sign(m, b->options.key, sig);
        streamr_encode(m, &arena);
    }
    at[batch->n] = arena.len;
    for (uint32_t i = 0; i < batch->n; i++) {
        msg *m = &batch->msgs[i];
        broker_bytes raw = {(const uint8_t *)arena.data + at[i], at[i + 1] - at[i]};
        refusal kind = REFUSAL_NONE;
        const char *why = policy_decode(raw, &m->m, &kind);

        if (why == NULL)
            why = policy_check(&b->options.policy, &m->m, clock_wall_ms(), &kind);
        m->m.raw = raw;
        m->m.flags |= BROKER_MSG_VERIFIED;
        if (why != NULL) {
            m->outcome = refusal_outcome(kind);
            m->reason = why;
            metric_add(b->refusals[kind], 1);
        } else {
            m->needs = check_needs_right(b, &m->m);
        }
        publication_free(s->drafts[i].publication);
    }
    free(s);
    batch->arena = (uint8_t *)arena.data;
}

static void publication_end(publication *p, int32_t code, const char *why)
{
    p->ticket->outcomes[0] = (broker_outcome){code, 0, why};
    ticket_end(p->ticket, NULL);
    publication_free(p);
}

/* Give p its place in the chain and in the batch. NULL, or why not. */
static const char *draft_fill(bus *b, publication *p, draft *d, msg *m)
{
    const char *why = streamr_stream_id_check(p->stream.data, p->stream.len);
    uint32_t partition = partition_of(b, p), known;
    chain *c;

    if (why != NULL)
        return why;
    known = bus_partitions(b, (broker_str){p->stream.data, p->stream.len});
    if (partition >= (known != 0 ? known : STREAMR_PARTITIONS))
        return "the stream has no such partition";
    if (p->chain.len > CHAIN_ID_MAX)
        return "the message chain id is longer than 256 bytes";
    c = chain_of(b, p, partition);
    m->m = (broker_msg){.size = sizeof m->m};
    why = chain_advance(c, p->timestamp_ms, &m->m);
    if (why != NULL)
        return why;
    memcpy(d->chain, c->id, c->id_len);
    d->publication = p;
    m->m.stream = (broker_str){p->stream.data, p->stream.len};
    m->m.partition = partition;
    m->m.chain = (broker_str){d->chain, c->id_len};
    m->m.body = BROKER_BODY_CONTENT;
    m->m.content_type = (uint8_t)p->content_type;
    m->m.signature_type = BROKER_SIGNATURE_SECP256K1;
    m->m.content = (broker_bytes){(const uint8_t *)p->content.data, p->content.len};
    m->ticket = p->ticket;
    m->index = 0;
    m->carry = true;
    return NULL;
}

/* Publications that can be made move from *list into one batch. */
static void batch_of_publications(bus *b, publication **list)
{
    publication *made[BATCH_MAX];
    msg msgs[BATCH_MAX];
    signing *s = must_alloc(sizeof *s);
    uint32_t n = 0;
    size_t bytes = 0;
    msg_batch *batch;

    memset(msgs, 0, sizeof msgs);
    while (*list != NULL && n < BATCH_MAX) {
        publication *p = *list;
        const char *why = draft_fill(b, p, &s->drafts[n], &msgs[n]);

        *list = p->next;
        if (why != NULL) {
            publication_end(p, BROKER_REJECTED, why);
            continue;
        }
        bytes += p->content.len;
        made[n++] = p;
    }
    batch = n != 0 ? batch_new(n) : NULL;
    if (batch == NULL) {
        for (uint32_t i = 0; i < n; i++)
            publication_end(made[i], BROKER_FAILED, "out of memory");
        free(s);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        msgs[i].batch = batch;
        batch->msgs[i] = msgs[i];
    }
    batch->arena = (uint8_t *)s;
    bus_account(b, batch, bytes);
    bus_append(b, batch, batch_sign);
}

static void publish_on_loop(loop_call *call)
{
    bus *b = CONTAINER_OF(call, bus, publish_call);
    publication *list;

    uv_mutex_lock(&b->publish_lock);
    list = b->publish_head;
    b->publish_head = NULL;
    b->publish_tail = &b->publish_head;
    uv_mutex_unlock(&b->publish_lock);
    while (list != NULL)
        batch_of_publications(b, &list);
}

broker_rc bus_publish(bus *b, ledger *owner, const broker_publication *what)
{
    publication *p;
    bool first;

    if (b->options.key == NULL)
        return BROKER_EDENIED;
    if (what->content.len > STREAMR_MESSAGE_MAX - 4096)
        return BROKER_EINVAL;
    if (atomic_load(&b->messages) >= b->options.max_messages ||
        atomic_load(&b->bytes) >= b->options.max_bytes)
        return BROKER_AGAIN;
    p = must_alloc(sizeof *p);
    p->ticket = ticket_new(owner, 1);
    must(p->ticket != NULL);
    p->ticket->published = what->done;
    p->ticket->arg = what->arg;
    p->partition = what->partition;
    p->content_type = what->content_type;
    p->timestamp_ms = what->timestamp_ms;
    streamr_stream_id_normalise(what->stream.ptr, what->stream.len, &p->stream);
    sb_append(&p->key, what->key.ptr, what->key.len);
    sb_append(&p->chain, what->chain.ptr, what->chain.len);
    sb_append(&p->content, what->content.ptr, what->content.len);
    uv_mutex_lock(&b->publish_lock);
    first = b->publish_head == NULL;
    *b->publish_tail = p;
    b->publish_tail = &p->next;
    if (first)
        loop_post(b->loop, &b->publish_call);
    uv_mutex_unlock(&b->publish_lock);
    return BROKER_OK;
}

/* ---- life ---- */

void publish_init(bus *b)
{
    must(uv_mutex_init(&b->publish_lock) == 0);
    b->publish_tail = &b->publish_head;
    b->publish_call.fn = publish_on_loop;
    b->chains = must_alloc(CHAIN_SLOTS * sizeof(chain *));
}

void publish_done(bus *b)
{
    must(b->publish_head == NULL);
    for (size_t i = 0; i < CHAIN_SLOTS; i++)
        while (b->chains[i] != NULL) {
            chain *c = b->chains[i];

            b->chains[i] = c->next;
            chain_free(c);
        }
    free(b->chains);
    uv_mutex_destroy(&b->publish_lock);
}
