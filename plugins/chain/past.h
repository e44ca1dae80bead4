/* past -- what was read of the chain last: ranges with the hash of their last block, and the events
 * in them, to be taken back. Bounded; the oldest is forgotten. Pure. */
#ifndef CHAIN_PAST_H
#define CHAIN_PAST_H

#include "base/base.h"

#define PAST_RANGES 64u
#define PAST_EVENTS 4096u

typedef struct past_range {
    uint64_t from, to;
    uint8_t hash[32]; /* of block `to` */
} past_range;

typedef struct past_event {
    uint64_t block;
    uint8_t node[20];
    bool added;
    char *stream;
    size_t stream_len;
} past_event;

typedef struct past {
    past_range ranges[PAST_RANGES]; /* oldest first */
    size_t n_ranges;
    past_event *events; /* oldest first */
    size_t n_events;
} past;

void past_done(past *p);
void past_add_range(past *p, const past_range *r);
void past_add_event(past *p, const past_event *e); /* copied */
/* The newest range; NULL: none. */
const past_range *past_last(const past *p);
void past_drop_range(past *p);
/* Take the newest event of a block not before `from`; its stream is the caller's to free. */
bool past_take_event(past *p, uint64_t from, past_event *out);

void past_save(const past *p, sb *out);
bool past_load(past *p, view *in);

#endif
