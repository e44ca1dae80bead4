/* outbox -- see outbox.h. */
#include "delivery/outbox.h"

#include "delivery/part.h"
#include "delivery/relay.h"

#include <broker/plugin.h>
#include <stdlib.h>

#define RETRY_MS  1000u /* full queues, and looking for what is too old */
#define BUF_SPARE 1024u /* of a buffer, beside twice the message, that is not worth a copy */

/* ---- Parcels ---- */

static parcel *counted(delivery *d, parcel *c)
{
    c->d = d;
    d->kept += sizeof *c + c->bytes.len;
    return c;
}

static parcel *copy_of(delivery *d, pb_bytes bytes)
{
    parcel *c = must_alloc(sizeof *c + bytes.len);

    memcpy(c + 1, bytes.ptr, bytes.len);
    c->bytes = (pb_bytes){(uint8_t *)(c + 1), bytes.len};
    return counted(d, c);
}

parcel *parcel_of(delivery *d, const delivery_bytes *message)
{
    parcel *c;

    if (message->owner == NULL)
        return copy_of(d, message->bytes);
    c = must_alloc(sizeof *c);
    message->retain(message->owner);
    c->bytes = message->bytes;
    c->owner = message->owner;
    c->release = message->release;
    return counted(d, c);
}

parcel *parcel_of_received(delivery *d, pb_bytes bytes, struct broker_buf *buf)
{
    parcel *c;

    if (buf == NULL || buf->len > 2 * bytes.len + BUF_SPARE)
        return copy_of(d, bytes);
    c = must_alloc(sizeof *c);
    peers_keep(d->peers, buf);
    c->bytes = bytes;
    c->buf = buf;
    return counted(d, c);
}

void parcel_free(void *arg)
{
    parcel *c = arg;

    c->d->kept -= sizeof *c + c->bytes.len;
    if (c->release != NULL)
        c->release(c->owner);
    if (c->buf != NULL)
        peers_let_go(c->d->peers, c->buf);
    free(c);
}

/* ---- The box ---- */

/* Takes out what *at points to. */
static parcel *take(outbox *o, parcel **at)
{
    parcel *c = *at;

    *at = c->next;
    if (c->next == NULL)
        o->end = at;
    o->n--;
    o->bytes -= c->bytes.len;
    return c;
}

static void give_up_first(part *p)
{
    parcel *c = take(&p->outbox, &p->outbox.first);

    p->d->count.unsent++;
    if (p->d->calls.on_unsent != NULL)
        p->d->calls.on_unsent(p->d->calls.arg, p->name, c->bytes);
    parcel_free(c);
}

static void set_alarm(part *p);

static void alarm_comes(void *arg)
{
    part *p = arg;
    int64_t now_ms = peers_now_ms(p->d->peers);

    while (p->outbox.first != NULL && p->outbox.first->since_ms + DELIVERY_WAIT_MS <= now_ms)
        give_up_first(p);
    outbox_flush(p);
    set_alarm(p);
}

static void set_alarm(part *p)
{
    peers_timer_end(p->outbox.alarm);
    p->outbox.alarm = p->outbox.first != NULL
                          ? peers_timer_start(p->d->peers, RETRY_MS, 0, alarm_comes, p)
                          : NULL;
}

static bool has_room(const part *p, size_t len)
{
    const outbox *o = &p->outbox;

    return o->n < p->d->settings.buffer && o->bytes + len <= OUTBOX_BYTES &&
           p->d->kept + len <= OUTBOX_KEPT;
}

bool outbox_add(part *p, const delivery_bytes *message, bool is_checked)
{
    outbox *o = &p->outbox;
    parcel *c;

    while (o->n > 0 && !has_room(p, message->bytes.len))
        give_up_first(p);
    if (!has_room(p, message->bytes.len))
        return false;
    c = parcel_of(p->d, message);
    c->since_ms = peers_now_ms(p->d->peers);
    c->is_checked = is_checked;
    if (o->first == NULL)
        o->end = &o->first;
    *o->end = c;
    o->end = &c->next;
    o->n++;
    o->bytes += c->bytes.len;
    if (o->alarm == NULL)
        set_alarm(p);
    return true;
}

static void put_back(outbox *o, parcel **at, parcel *c)
{
    c->next = *at;
    *at = c;
    if (c->next == NULL)
        o->end = &c->next;
    o->n++;
    o->bytes += c->bytes.len;
}

bool outbox_flush(part *p)
{
    parcel **at = &p->outbox.first;

    while (*at != NULL) {
        parcel *c = take(&p->outbox, at);
        relay_result result = relay_send(p, c);

        if (result == RELAY_DONE)
            continue;
        put_back(&p->outbox, at, c);
        if (result == RELAY_FULL)
            return false;
        at = &c->next;
    }
    return true;
}

void outbox_end(part *p)
{
    while (p->outbox.first != NULL)
        give_up_first(p);
    peers_timer_end(p->outbox.alarm);
    p->outbox.alarm = NULL;
}
