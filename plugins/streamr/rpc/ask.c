/* ask -- requests and notifications of ours: sent, waited for, given up. */
#include "rpc/parts.h"

/* ---- frames ---- */

void put_frame(peers *p, envelope *e, pb_bytes target, char message_id[UUID_LEN])
{
    uuid_make(&p->ids, message_id);
    e->message_id = pb_bytes_from(message_id, UUID_LEN);
    e->source = links_descriptor(p->links);
    e->target = target;
    sb_clear(&p->frame);
    envelope_append(e, &p->frame);
}

static broker_rc send(peers *p, peer_link *l, const peers_message *m, envelope_kind kind,
                      const char request_id[UUID_LEN])
{
    char message_id[UUID_LEN];
    envelope e = {.kind = kind,
                  .service = pb_bytes_of(m->service),
                  .method = pb_bytes_of(m->method),
                  .request_id = pb_bytes_from(request_id, UUID_LEN)};

    sb_clear(&p->body);
    if (!envelope_seal(&e, m->table, m->msg, &p->body))
        return BROKER_EINVAL;
    put_frame(p, &e, l->descriptor, message_id);
    return links_send(l, pb_bytes_from(p->frame.data, p->frame.len));
}

bool peers_tell(peers *p, const peers_message *m)
{
    char request_id[UUID_LEN];
    peer_link *l = links_to(p->links, m->to);

    if (l == NULL)
        return false;
    uuid_make(&p->ids, request_id);
    return send(p, l, m, ENVELOPE_NOTIFICATION, request_id) == BROKER_OK;
}

/* ---- the hot path ---- */

static broker_rc send_small(peers *p, peer_link *l, size_t len)
{
    sb_clear(&p->frame);
    envelope_fan_put(&p->fan, l->descriptor, &p->ids, (uint8_t *)sb_room(&p->frame, len));
    return links_send(l, pb_bytes_from(p->frame.data, len));
}

static broker_rc send_large(peers *p, peer_link *l, size_t len)
{
    broker_buf *buf = p->bus->buf_new(p->ctx, len);
    broker_rc rc;

    if (buf == NULL)
        return BROKER_ENOMEM;
    envelope_fan_put(&p->fan, l->descriptor, &p->ids, (uint8_t *)(uintptr_t)buf->bytes);
    rc = links_send_buf(l, buf, pb_bytes_from(buf->bytes, len));
    p->bus->buf_release(buf);
    return rc;
}

size_t peers_spread(peers *p, const envelope *common, const node_id *const *to, size_t n,
                    bool *sent)
{
    envelope e = *common;
    size_t have = 0;

    e.source = links_descriptor(p->links);
    envelope_fan_init(&p->fan, &e);
    for (size_t i = 0; i < n; i++) {
        peer_link *l = links_find(p->links, to[i]);
        size_t len;

        sent[i] = false;
        if (l == NULL || l->state != LINK_OPEN)
            continue;
        len = envelope_fan_size(&p->fan, l->descriptor);
        sent[i] = (len < SMALL_FRAME ? send_small(p, l, len) : send_large(p, l, len)) == BROKER_OK;
        have += sent[i];
        if (!sent[i])
            peers_add(p, RPC_COUNT_DROPPED, 1);
    }
    return have;
}

/* ---- waiting ---- */

static void ask_unlink(ask *a)
{
    *a->at = a->next;
    if (a->next != NULL)
        a->next->at = a->at;
}

static void ask_link(ask *a, ask **at)
{
    a->at = at;
    a->next = *at;
    if (a->next != NULL)
        a->next->at = &a->next;
    *at = a;
}

/* Out of the table of calls. */
static void ask_forget(peers *p, const ask *a)
{
    envelope e = {.kind = ENVELOPE_RESPONSE, .request_id = pb_bytes_from(a->request_id, UUID_LEN)};

    must(calls_take(p->calls, &e, &a->to) == a);
}

static void ask_end(peers *p, ask *a, peers_result result, const envelope *answer)
{
    ask_unlink(a);
    p->n_asks--;
    a->answer(a->arg, result, answer);
    free(a);
}

static void end_doomed(peers *p)
{
    while (p->doomed != NULL)
        ask_end(p, p->doomed, p->doomed->result, NULL);
}

static void on_soon(void *arg)
{
    peers *p = arg;

    p->work->timer_stop(p->soon);
    p->soon = NULL;
    end_doomed(p);
}

static void doom_soon(peers *p)
{
    if (p->soon == NULL)
        p->work->timer(p->ctx, 0, 0, on_soon, p, &p->soon);
}

bool peers_ask(peers *p, const peers_message *m, uint32_t timeout_ms, peers_answer answer,
               void *arg)
{
    peer_link *l;
    node_id to = {{0}};
    ask *a;

    if (p->n_asks >= CALLS_MAX || !peer_node_id(m->to, &to))
        return false;
    l = links_to(p->links, m->to);
    a = must_alloc(sizeof *a);
    a->to = to;
    a->answer = answer;
    a->arg = arg;
    if (l == NULL) {
        a->result = PEERS_UNREACHABLE;
        p->n_asks++;
        ask_link(a, &p->doomed);
        doom_soon(p);
        return true;
    }
    uuid_make(&p->ids, a->request_id);
    if (timeout_ms == 0)
        timeout_ms = links_patience_ms(l);
    if (send(p, l, m, ENVELOPE_REQUEST, a->request_id) != BROKER_OK ||
        !calls_add(p->calls, a->request_id, &to, a, peers_now_ms(p) + timeout_ms)) {
        free(a);
        return false;
    }
    p->n_asks++;
    ask_link(a, &p->asks);
    peers_add(p, RPC_COUNT_ASKED, 1);
    return true;
}

void peers_cancel(peers *p, const void *arg)
{
    for (ask *a = p->asks, *next; a != NULL; a = next) {
        next = a->next;
        if (a->arg != arg)
            continue;
        ask_forget(p, a);
        ask_unlink(a);
        p->n_asks--;
        free(a);
    }
    for (ask *a = p->doomed, *next; a != NULL; a = next) {
        next = a->next;
        if (a->arg != arg)
            continue;
        ask_unlink(a);
        p->n_asks--;
        free(a);
    }
}

void ask_answered(peers *p, peer_link *l, const envelope *e)
{
    ask *a = calls_take(p->calls, e, &l->id);

    if (a != NULL)
        ask_end(p, a, e->kind == ENVELOPE_ERROR ? PEERS_REFUSED : PEERS_ANSWERED, e);
}

void ask_lost(peers *p, const node_id *id)
{
    for (ask *a = p->asks, *next; a != NULL; a = next) {
        next = a->next;
        if (!node_id_same(&a->to, id))
            continue;
        ask_forget(p, a);
        ask_unlink(a);
        a->result = PEERS_UNREACHABLE;
        ask_link(a, &p->doomed);
    }
    /* An answer may ask and cancel: the list is walked anew each time. */
    end_doomed(p);
}

void ask_tick(peers *p)
{
    ask *a;

    while ((a = calls_expired(p->calls, peers_now_ms(p))) != NULL) {
        peers_add(p, RPC_COUNT_TIMEOUTS, 1);
        ask_end(p, a, PEERS_TIMEOUT, NULL);
    }
}

void ask_free_all(peers *p)
{
    ask *a;

    while (calls_expired(p->calls, INT64_MAX) != NULL)
        ;
    while ((a = p->asks != NULL ? p->asks : p->doomed) != NULL) {
        ask_unlink(a);
        free(a);
    }
}
