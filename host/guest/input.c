/* input -- what the plugin lets in: admissions and publications, within a window.
 *
 * The node answers each when all its outcomes are known. What has no outcome is counted as the
 * node counts it, so neither side has to say how much room there is. */
#include "guest/parts.h"

#include "streamr/streamr.h"

#define AROUND     4096u   /* words and fields around the frames of an admission */
#define FRAMES_MAX 262144u /* of one admission                                   */

/* Keep what is asked for and give it an id. NULL: there is no room. [any] */
static input *input_new(guest *g, size_t cost)
{
    input *in = NULL, **at;

    uv_mutex_lock(&g->input_lock);
    if (g->under_way == 0 || g->under_way + cost <= WINDOW_INPUT) {
        in = must_alloc(sizeof *in);
        in->id = ++g->last_input;
        in->cost = cost;
        g->under_way += cost;
        for (at = &g->inputs[in->id % INPUT_SLOTS]; *at != NULL; at = &(*at)->next)
            ;
        *at = in;
    }
    uv_mutex_unlock(&g->input_lock);
    if (in != NULL)
        atomic_fetch_add(&g->build->ledger.admissions, 1);
    return in;
}

/* The one with that id, which is the caller's now; NULL: there is none. */
static input *input_take(guest *g, uint64_t id)
{
    input *in, **at = &g->inputs[id % INPUT_SLOTS];

    uv_mutex_lock(&g->input_lock);
    while (*at != NULL && (*at)->id != id)
        at = &(*at)->next;
    in = *at;
    if (in != NULL) {
        *at = in->next;
        g->under_way -= in->cost;
    }
    uv_mutex_unlock(&g->input_lock);
    return in;
}

static void room_check(guest *g)
{
    size_t under_way;

    uv_mutex_lock(&g->input_lock);
    under_way = g->under_way;
    uv_mutex_unlock(&g->input_lock);
    if (g->rooms == NULL || g->room_posted || under_way > WINDOW_INPUT / 2)
        return;
    g->room_posted = true;
    loop_post(g->loop, &g->room);
}

static void input_end(guest *g, input *in)
{
    atomic_fetch_sub(&g->build->ledger.admissions, 1);
    free(in);
    room_check(g);
}

/* ---- out ---- */

broker_rc guest_admit(broker_ctx *ctx, const broker_admission *what)
{
    guest *g = guest_of(ctx);
    size_t cost = 0, bytes = AROUND + what->only_stream.len;
    words_admission a;
    sb body = SB_INIT;
    input *in;

    if (what->n == 0 || what->n > FRAMES_MAX || what->only_stream.len > STREAMR_STREAM_ID_MAX)
        return BROKER_EINVAL;
    for (size_t i = 0; i < what->n; i++) {
        if (what->frames[i].raw.len > FRAME_MAX)
            return BROKER_EINVAL;
        cost += INPUT_COST(what->frames[i].raw.len);
        bytes += 4 + what->frames[i].raw.len;
    }
    if (bytes > FRAME_MAX)
        return ctx->host->fail(ctx, BROKER_EINVAL, "one admission is larger than 64 MiB");
    in = input_new(g, cost);
    if (in == NULL)
        return BROKER_AGAIN;
    in->n = what->n;
    in->done = what->done;
    in->arg = what->arg;
    a = (words_admission){in->id, what->flags & BROKER_ADMIT_CARRY, what->only_partition,
                          what->only_stream};
    words_put_admission(&body, &a);
    for (size_t i = 0; i < what->n; i++)
        words_put_bytes(&body, what->frames[i].raw);
    channel_send(g->frames, WORD_ADMIT, bytes_of(&body), (broker_bytes){NULL, 0});
    sb_done(&body);
    return BROKER_OK;
}

static void publication_put(sb *body, uint64_t id, const broker_publication *what)
{
    pack_map(body, 9);
    pack_uint(body, "id", id);
    pack_uint(body, "flags", 0);
    pack_uint(body, "partition", what->partition);
    pack_uint(body, "contentType", what->content_type);
    pack_int(body, "timestamp", what->timestamp_ms);
    pack_bytes(body, "stream", what->stream.ptr, what->stream.len);
    pack_bytes(body, "key", what->key.ptr, what->key.len);
    pack_bytes(body, "chain", what->chain.ptr, what->chain.len);
    pack_bytes(body, "content", what->content.ptr, what->content.len);
}

broker_rc guest_publish(broker_ctx *ctx, const broker_publication *what)
{
    guest *g = guest_of(ctx);
    uint8_t address[20];
    sb body = SB_INIT;
    input *in;

    if (what->content.len > STREAMR_MESSAGE_MAX - 4096 ||
        what->content_type > BROKER_CONTENT_BINARY ||
        what->stream.len + what->key.len + what->chain.len > STREAMR_MESSAGE_MAX)
        return BROKER_EINVAL;
    if (guest_address(g, address) == BROKER_EDENIED)
        return BROKER_EDENIED;
    in = input_new(g, INPUT_COST(what->content.len));
    if (in == NULL)
        return BROKER_AGAIN;
    publication_put(&body, in->id, what);
    in->published = what->done;
    in->arg = what->arg;
    channel_send(g->frames, WORD_PUBLISH, bytes_of(&body), (broker_bytes){NULL, 0});
    sb_done(&body);
    return BROKER_OK;
}

/* ---- outcomes ---- */

void guest_outcomes(guest *g, broker_buf *buf, broker_bytes body)
{
    view v = view_of(body.ptr, body.len);
    broker_outcome *outcomes;
    words_outcome o;
    uint64_t id;
    input *in;

    (void)buf;
    if (!view_u64be(&v, &id))
        guest_broken("outcomes of nothing");
    in = input_take(g, id);
    if (in == NULL)
        return;
    outcomes = must_alloc((in->n + 1) * sizeof *outcomes);
    for (size_t i = 0; i < in->n; i++) {
        if (!words_read_outcome(&v, &o))
            guest_broken("fewer outcomes than there are messages");
        outcomes[i] = o.outcome;
    }
    if (in->done != NULL)
        CROSS(&g->build->ledger, "admitted", in->done(in->arg, outcomes, in->n));
    free(outcomes);
    input_end(g, in);
}

void guest_published(guest *g, broker_buf *buf, broker_bytes body)
{
    view v = view_of(body.ptr, body.len);
    msg_batch *b = NULL;
    words_outcome o;
    words_msg said;
    uint8_t made;
    uint64_t id;
    input *in;

    if (!view_u64be(&v, &id) || !words_read_outcome(&v, &o) || !view_u8(&v, &made) ||
        (made != 0 && !words_read_msg(&v, &said)))
        guest_broken("what became of a publication is cut off");
    in = input_take(g, id);
    if (in == NULL)
        return;
    if (made != 0) {
        b = batch_new(1);
        must(b != NULL);
        batch_hold(b, buf);
        guest_msg_fill(&b->msgs[0], &said);
    }
    if (in->published != NULL)
        CROSS(&g->build->ledger, "published",
              in->published(in->arg, b != NULL ? &b->msgs[0].m : NULL, &o.outcome));
    if (b != NULL) {
        msg_release(&b->msgs[0].m);
        batch_release(b);
    }
    input_end(g, in);
}

/* ---- room ---- */

static void rooms_call(loop_call *call)
{
    guest *g = CONTAINER_OF(call, guest, room);
    room_wish *r = g->rooms;

    g->room_posted = false;
    g->rooms = NULL;
    g->last_room = &g->rooms;
    while (r != NULL) {
        room_wish *next = r->next;

        CROSS(&g->build->ledger, "on_room", r->room(r->arg));
        free(r);
        r = next;
    }
}

broker_rc guest_on_room(broker_ctx *ctx, void (*room)(void *arg), void *arg)
{
    guest *g = guest_of(ctx);
    room_wish *r = must_alloc(sizeof *r);

    *r = (room_wish){NULL, room, arg};
    *g->last_room = r;
    g->last_room = &r->next;
    room_check(g); /* it may have become free between AGAIN and now */
    return BROKER_OK;
}

void guest_rooms_end(guest *g)
{
    while (g->rooms != NULL) {
        room_wish *r = g->rooms;

        g->rooms = r->next;
        free(r);
    }
    g->last_room = &g->rooms;
}

/* ---- life ---- */

void guest_input_init(guest *g)
{
    must(uv_mutex_init(&g->input_lock) == 0);
    g->last_room = &g->rooms;
    g->room.fn = rooms_call;
}

void guest_input_done(guest *g)
{
    for (size_t i = 0; i < INPUT_SLOTS; i++)
        while (g->inputs[i] != NULL) {
            input *in = g->inputs[i];

            g->inputs[i] = in->next;
            free(in);
        }
    uv_mutex_destroy(&g->input_lock);
}
