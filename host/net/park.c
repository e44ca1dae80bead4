/* park -- listeners and connections between two builds of a plugin. The contract: net.h. */
#include "net/parts.h"

/* Whom a connection calls, or will ask. */
static const ledger *owner_of(const broker_conn *c)
{
    return c->asked ? c->owner : c->listener != NULL ? c->listener->owner : NULL;
}

void net_hold(net *n, const ledger *owner)
{
    for (broker_listener *l = n->listeners; l != NULL; l = l->next)
        l->held = l->held || l->owner == owner;
    for (broker_conn *c = n->conns; c != NULL; c = c->next) {
        if (c->held || owner_of(c) != owner)
            continue;
        c->held = true;
        flow_read_set(c);
    }
}

void net_park(net *n, const ledger *owner)
{
    for (broker_listener *l = n->listeners; l != NULL; l = l->next)
        l->parked = l->parked || l->owner == owner;
    for (broker_conn *c = n->conns; c != NULL; c = c->next) {
        if (c->parked || owner_of(c) != owner)
            continue;
        c->parked = true;
        flow_read_set(c);
    }
}

/* What it was has no callbacks any more. */
static void conn_leave(broker_conn *c)
{
    c->owner = NULL;
    c->taken = false;
    memset(&c->calls, 0, sizeof c->calls);
    if (c->ended)
        sock_end(c);
}

void net_leave(net *n, const ledger *owner)
{
    for (broker_listener *l = n->listeners; l != NULL; l = l->next)
        if (l->parked && l->owner == owner)
            l->owner = NULL;
    for (broker_conn *c = n->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (c->parked && c->owner == owner)
            conn_leave(c);
    }
}

broker_rc net_adopt(net *n, ledger *owner, uint64_t id, const broker_peer_calls *calls,
                    broker_conn **out)
{
    broker_conn *c = n->conns;

    while (c != NULL && c->id != id)
        c = c->next;
    if (c == NULL || !c->parked || c->taken || !c->asked || c->state >= SOCK_CLOSING ||
        strcmp(c->name, owner->name) != 0)
        return BROKER_EGONE;
    c->taken = true;
    c->owner = owner;
    memset(&c->calls, 0, sizeof c->calls);
    memcpy(&c->calls, calls, calls->size < sizeof c->calls ? calls->size : sizeof c->calls);
    c->paused = false;
    *out = c;
    return BROKER_OK;
}

/* One at a time: accepted() may close any listener. */
static bool accept_pending(net *n)
{
    for (broker_listener *l = n->listeners; l != NULL; l = l->next)
        if (l->pending && !l->parked && !l->held) {
            listener_accept(l);
            return true;
        }
    return false;
}

static void conn_unpark(broker_conn *c)
{
    c->parked = c->held = c->taken = false;
    c->heard_ms = c->heard_ms != 0 ? net_now(c->net) : 0;
    c->pinged_ms = 0;
    sock_later(c);
}

/* Nobody wants it. */
static void conn_give_up(broker_conn *c, int code, const char *why)
{
    c->owner = NULL;
    c->parked = c->taken = false;
    if (c->ended)
        sock_end(c);
    else
        sock_close(c, CLOSE_LOCAL, code, why);
}

void net_unpark(net *n, const ledger *owner)
{
    for (broker_listener *l = n->listeners, *next; l != NULL; l = next) {
        next = l->next;
        if (strcmp(l->name, owner->name) != 0)
            continue;
        l->held = false;
        if (!l->parked)
            continue;
        if (l->owner == owner)
            l->parked = l->taken = false;
        else
            listener_close(l);
    }
    for (broker_conn *c = n->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (strcmp(c->name, owner->name) != 0)
            continue;
        if (!c->parked && !c->held)
            continue;
        if (!c->parked || c->owner == owner || !c->asked) /* those of lost listeners are closed */
            conn_unpark(c);
        else
            conn_give_up(c, WS_RESTART, "service restart");
    }
    while (accept_pending(n))
        ;
}

void net_forget(net *n, const ledger *owner)
{
    for (broker_listener *l = n->listeners, *next; l != NULL; l = next) {
        next = l->next;
        if (l->owner != owner)
            continue;
        if (l->taken) {
            l->taken = false;
            l->owner = NULL;
        } else {
            listener_close(l);
        }
    }
    for (broker_conn *c = n->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (c->owner != owner)
            continue;
        if (c->taken)
            conn_leave(c);
        else
            conn_give_up(c, WS_AWAY, "going away");
    }
}
