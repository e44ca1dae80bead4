/* calls -- see calls.h. A heap by deadline, and buckets by id that name places in it. */
#include "wire/calls.h"

#include <stdlib.h>

typedef struct call {
    char id[UUID_LEN];
    bool has_asked;
    node_id asked;
    void *user;
    int64_t deadline_ms;
    struct call *next_same;
    uint32_t place;
} call;

#define BUCKETS 4096u

struct calls {
    call *buckets[BUCKETS];
    call *heap[CALLS_MAX];
    uint32_t n;
};

static void place(calls *c, call *one, uint32_t at)
{
    c->heap[at] = one;
    one->place = at;
}

static void sift(calls *c, call *one, uint32_t at)
{
    while (at > 0 && c->heap[(at - 1) / 2]->deadline_ms > one->deadline_ms) {
        place(c, c->heap[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    for (uint32_t child; (child = 2 * at + 1) < c->n; at = child) {
        if (child + 1 < c->n && c->heap[child + 1]->deadline_ms < c->heap[child]->deadline_ms)
            child++;
        if (c->heap[child]->deadline_ms >= one->deadline_ms)
            break;
        place(c, c->heap[child], at);
    }
    place(c, one, at);
}

static call **bucket_of(calls *c, const void *id)
{
    return &c->buckets[hash_bytes(id, UUID_LEN) % BUCKETS];
}

static void *take_out(calls *c, call *one)
{
    call **at = bucket_of(c, one->id), *last;
    void *user = one->user;

    while (*at != one)
        at = &(*at)->next_same;
    *at = one->next_same;
    last = c->heap[--c->n];
    if (last != one)
        sift(c, last, one->place);
    free(one);
    return user;
}

calls *calls_new(void)
{
    return must_alloc(sizeof(calls));
}

void calls_free(calls *c)
{
    while (c != NULL && c->n > 0)
        take_out(c, c->heap[0]);
    free(c);
}

bool calls_add(calls *c, const char request_id[UUID_LEN], const node_id *asked, void *user,
               int64_t deadline_ms)
{
    call *one, **at;

    if (c->n == CALLS_MAX)
        return false;
    one = must_alloc(sizeof *one);
    memcpy(one->id, request_id, UUID_LEN);
    one->user = user;
    one->deadline_ms = deadline_ms;
    one->has_asked = asked != NULL;
    if (asked != NULL)
        one->asked = *asked;
    at = bucket_of(c, one->id);
    one->next_same = *at;
    *at = one;
    c->heap[c->n++] = one; /* sift() reads up to n, and puts it where it belongs */
    sift(c, one, c->n - 1);
    return true;
}

void *calls_take(calls *c, const envelope *response, const node_id *from)
{
    call *one;

    if ((response->kind != ENVELOPE_RESPONSE && response->kind != ENVELOPE_ERROR) ||
        response->request_id.len != UUID_LEN)
        return NULL;
    one = *bucket_of(c, response->request_id.ptr);
    while (one != NULL && memcmp(one->id, response->request_id.ptr, UUID_LEN) != 0)
        one = one->next_same;
    if (one == NULL || (one->has_asked && !node_id_same(&one->asked, from)))
        return NULL;
    return take_out(c, one);
}

void *calls_expired(calls *c, int64_t now_ms)
{
    return c->n > 0 && c->heap[0]->deadline_ms <= now_ms ? take_out(c, c->heap[0]) : NULL;
}

int64_t calls_next_ms(const calls *c)
{
    return c->n > 0 ? c->heap[0]->deadline_ms : INT64_MAX;
}
