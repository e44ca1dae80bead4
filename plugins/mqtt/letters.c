/* letters -- see letters.h. */
#include "letters.h"

#include "packet.h"

parcel *parcel_new(const void *bytes, size_t len)
{
    parcel *p = must_alloc(sizeof *p + len);

    p->refs = 1;
    p->len = len;
    if (len != 0)
        memcpy(p->bytes, bytes, len);
    return p;
}

parcel *parcel_retain(parcel *p)
{
    p->refs++;
    return p;
}

void parcel_release(parcel *p)
{
    if (p == NULL)
        return;
    must(p->refs > 0);
    if (--p->refs == 0)
        free(p);
}

static void letter_drop(letter *one)
{
    parcel_release(one->topic);
    parcel_release(one->payload);
}

void letters_init(letters *l, const letters_limits *limits)
{
    *l = (letters){.limits = limits};
}

static letter *queue_at(letters *l, uint32_t i)
{
    return &l->queue[(l->head + i) % l->cap];
}

static letter queue_pop(letters *l)
{
    letter one = *queue_at(l, 0);

    l->head = (l->head + 1) % l->cap;
    l->n_queue--;
    l->queue_bytes -= one.payload->len;
    return one;
}

static void queue_push(letters *l, letter one)
{
    if (l->n_queue == l->cap) {
        uint32_t cap = l->cap != 0 ? l->cap * 2 : 8;
        letter *queue = must_alloc(cap * sizeof *queue);

        for (uint32_t i = 0; i < l->n_queue; i++)
            queue[i] = *queue_at(l, i);
        free(l->queue);
        l->queue = queue;
        l->cap = cap;
        l->head = 0;
    }
    *queue_at(l, l->n_queue++) = one;
    l->queue_bytes += one.payload->len;
}

void letters_done(letters *l)
{
    for (uint32_t i = 0; i < l->n_window; i++)
        letter_drop(&l->window[i]);
    for (uint32_t i = 0; i < l->n_queue; i++)
        letter_drop(queue_at(l, i));
    free(l->window);
    free(l->queue);
    letters_init(l, l->limits);
}

uint32_t letters_put(letters *l, parcel *topic, parcel *payload)
{
    uint32_t dropped = 0;

    queue_push(l, (letter){.topic = parcel_retain(topic), .payload = parcel_retain(payload)});
    while (l->n_queue > l->limits->queued || l->queue_bytes > l->limits->bytes) {
        letter oldest = queue_pop(l);

        letter_drop(&oldest);
        dropped++;
    }
    return dropped;
}

/* One fits always: it is not larger than the queue it comes from. */
static bool window_has_room(const letters *l, const letter *one)
{
    return l->n_window == 0 || (l->n_window < l->limits->window &&
                                l->window_bytes + one->payload->len <= l->limits->bytes);
}

static bool id_is_taken(const letters *l, uint16_t id)
{
    for (uint32_t i = 0; i < l->n_window; i++)
        if (l->window[i].id == id)
            return true;
    return false;
}

static uint16_t id_next(letters *l)
{
    do
        l->last_id++;
    while (l->last_id == 0 || id_is_taken(l, l->last_id));
    return l->last_id;
}

static void window_push(letters *l, letter one)
{
    if (l->window == NULL)
        l->window = must_alloc(l->limits->window * sizeof *l->window);
    l->window[l->n_window++] = one;
    l->window_bytes += one.payload->len;
}

static void send(letter *one, sb *out)
{
    packet_put_publish(out,
                       &(packet_publish){
                           .dup = one->again,
                           .qos = 1,
                           .id = one->id,
                           .topic = {one->topic->bytes, one->topic->len},
                           .payload = {(const uint8_t *)one->payload->bytes, one->payload->len},
                       });
    one->sent = true;
    one->again = true;
}

void letters_pump(letters *l, sb *out, size_t until)
{
    for (uint32_t i = 0; i < l->n_window; i++) {
        if (l->window[i].sent)
            continue;
        if (out->len >= until)
            return;
        send(&l->window[i], out);
    }
    while (l->n_queue != 0 && window_has_room(l, queue_at(l, 0)) && out->len < until) {
        letter one = queue_pop(l);

        one.id = id_next(l);
        send(&one, out);
        window_push(l, one);
    }
}

bool letters_acked(letters *l, uint16_t id)
{
    for (uint32_t i = 0; i < l->n_window; i++) {
        if (l->window[i].id != id || !l->window[i].sent)
            continue;
        l->window_bytes -= l->window[i].payload->len;
        letter_drop(&l->window[i]);
        l->n_window--;
        memmove(&l->window[i], &l->window[i + 1], (l->n_window - i) * sizeof *l->window);
        return true;
    }
    return false;
}

void letters_unsend(letters *l)
{
    for (uint32_t i = 0; i < l->n_window; i++)
        l->window[i].sent = false;
}

static bool queue_has_room(const letters *l, const letter *one)
{
    return l->n_queue < l->limits->queued && l->queue_bytes + one->payload->len <= l->limits->bytes;
}

bool letters_restore(letters *l, const letter *one)
{
    letter copy = *one;

    if (copy.id != 0 ? !window_has_room(l, one) || id_is_taken(l, copy.id)
                     : !queue_has_room(l, one))
        return false;
    parcel_retain(copy.topic);
    parcel_retain(copy.payload);
    if (copy.id != 0)
        window_push(l, copy);
    else
        queue_push(l, copy);
    return true;
}
