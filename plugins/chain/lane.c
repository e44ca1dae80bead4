/* lane -- see lane.h. A hash table of the last slot of each lane. */
#include "lane.h"

#define BUCKETS 1024u

struct lanes {
    lane_slot *buckets[BUCKETS];
    size_t n;
};

lanes *lanes_new(void)
{
    return must_alloc(sizeof(lanes));
}

void lanes_free(lanes *l)
{
    free(l);
}

size_t lanes_used(const lanes *l)
{
    return l->n;
}

static lane_slot **last_of(lanes *l, uint64_t lane)
{
    lane_slot **at = &l->buckets[lane % BUCKETS];

    while (*at != NULL && (*at)->lane != lane)
        at = &(*at)->in_bucket;
    return at;
}

bool lane_enter(lanes *l, lane_slot *s, uint64_t lane, void *owner)
{
    lane_slot **at = last_of(l, lane), *before = *at;

    *s = (lane_slot){.lane = lane, .owner = owner};
    if (before != NULL) {
        before->next = s;
        s->in_bucket = before->in_bucket;
    } else {
        l->n++;
    }
    *at = s;
    return before == NULL || before->owner == owner;
}

lane_slot *lane_leave(lanes *l, lane_slot *s)
{
    lane_slot **at = last_of(l, s->lane);

    if (*at == s) {
        *at = s->in_bucket;
        l->n--;
    }
    return s->next != NULL && s->next->owner != s->owner ? s->next : NULL;
}
