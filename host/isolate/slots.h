/* slots -- numbers for things that another process talks about: none is used twice. [loop] */
#ifndef ISOLATE_SLOTS_H
#define ISOLATE_SLOTS_H

#include "base/base.h"

typedef struct slots {
    struct slot {
        uint32_t generation;
        uint32_t next_free; /* index + 1, when it is free */
        void *what;         /* NULL: free                 */
    } * items;
    uint32_t n, cap, first_free; /* index + 1; 0: none */
    size_t used;
} slots;

/* The number of what, which is not NULL; never 0. */
uint64_t slots_add(slots *s, void *what);
/* What has that number, or NULL. */
void *slots_get(const slots *s, uint64_t number);
/* The same, and the number is over. */
void *slots_take(slots *s, uint64_t number);
/* Whether the number was given out, ever. */
bool slots_gave(const slots *s, uint64_t number);
/* Free the table; the numbers are forgotten. */
void slots_done(slots *s);

/* What a plugin's process numbers itself: ids from 1, below IDS_MAX. */
typedef struct ids {
    void **items;
    uint32_t n;
} ids;

void *ids_get(const ids *i, uint32_t id);
/* False: it is no id. what NULL: the id is free again. */
bool ids_set(ids *i, uint32_t id, void *what);
void ids_done(ids *i);

#endif
