/* shake -- handshakes on sockets, and which of two connections to one node is kept. */
#include "links/parts.h"

void shake_begin(sock *s)
{
    links *ls = s->ls;
    sb frame = SB_INIT;

    if (s->link == NULL)
        return;
    greeting_ask(ls->o.descriptor, s->link->descriptor, ls->o.application, &ls->ids, &frame);
    sock_send_own(s, &frame);
}

/* ---- as the one that was dialled ---- */

static void answer(sock *s, greeting_verdict verdict)
{
    links *ls = s->ls;
    sb frame = SB_INIT;

    greeting_answer(ls->o.descriptor, verdict, ls->o.application, &ls->ids, &frame);
    sock_send_own(s, &frame);
    if (verdict < GREETING_ACCEPT) {
        links_add(ls, LINKS_COUNT_REFUSED, 1);
        sock_close(s, 0, NULL);
    }
}

/* s takes the place of the socket there is. */
static void replace(peer_link *l)
{
    sock *old = l->sock;

    if (old == NULL)
        return;
    links_add(l->links, LINKS_COUNT_REPLACED, 1);
    l->sock = NULL;
    old->link = NULL;
    sock_close(old, CODE_NORMAL, NULL);
}

static void asked(sock *s, const greeting *h)
{
    links *ls = s->ls;
    peer_link *l = links_find(ls, &h->id);
    greeting_known known = {.self = ls->o.id, .linked = l != NULL && l->sock != NULL};
    greeting_verdict verdict = greeting_judge(h, &known);

    if (verdict == GREETING_CLOSE) {
        links_add(ls, LINKS_COUNT_REFUSED, 1);
        sock_close(s, CODE_RULES, "this is the node id of the node dialled");
        return;
    }
    answer(s, verdict);
    if (verdict < GREETING_ACCEPT)
        return;
    if (l == NULL)
        l = link_new(ls, &h->id, h->descriptor);
    else
        link_describe(l, h->descriptor);
    replace(l);
    link_open(l, s);
}

/* ---- as the one that dialled ---- */

static void answered(sock *s, const greeting *h)
{
    peer_link *l = s->link;

    if (l == NULL)
        return; /* another socket has taken its place */
    if (h->has_error && h->error == DHT_DUPLICATE_CONNECTION) {
        /* The other side has, or is making, a connection that counts. */
        l->sock = NULL;
        l->state = LINK_AWAITED;
        s->link = NULL;
        sock_close(s, CODE_NORMAL, NULL);
        return;
    }
    if (h->has_error || !h->version_ok || !node_id_same(&h->id, &l->id)) {
        l->sock = NULL;
        s->link = NULL;
        sock_close(s, CODE_NORMAL, NULL);
        link_end_now(l, LINK_NEVER_MADE);
        links_tell_ended(s->ls);
        return;
    }
    link_describe(l, h->descriptor);
    link_open(l, s);
}

void shake_frame(sock *s, const envelope *e)
{
    greeting h;

    if (greeting_read(e, &h) != NULL)
        return;
    if (e->kind == ENVELOPE_HANDSHAKE_REQUEST && !s->dialled && s->link == NULL)
        asked(s, &h);
    else if (e->kind == ENVELOPE_HANDSHAKE_RESPONSE && s->dialled)
        answered(s, &h);
}
