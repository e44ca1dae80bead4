/* lane -- answers leave in the order of the questions about the same, a lane: the messages of one
 * publisher in one stream. A check answers for many messages at once, so it may leave when of each
 * of its lanes it is first.
 *
 * A slot is the place of a check in a lane. [loop] */
#ifndef CHAIN_LANE_H
#define CHAIN_LANE_H

#include "base/base.h"

typedef struct lanes lanes;

typedef struct lane_slot {
    struct lane_slot *next;      /* behind it in its lane */
    struct lane_slot *in_bucket; /* lanes' last slots     */
    uint64_t lane;
    void *owner; /* the check */
} lane_slot;

lanes *lanes_new(void);
void lanes_free(lanes *l); /* accepts NULL; slots are their owners' */
size_t lanes_used(const lanes *l);
/* At the end of the lane. False: somebody else stands before it. Two slots of one owner in a lane
 * do not wait for each other. */
bool lane_enter(lanes *l, lane_slot *s, uint64_t lane, void *owner);
/* Its owner leaves. The slot that is first now, if another's; NULL: none. */
lane_slot *lane_leave(lanes *l, lane_slot *s);

#endif
