/* checks -- each is one promise of broker/plugin.h, tried out in a process of its own. */
#ifndef CONFORMANCE_CHECKS_H
#define CONFORMANCE_CHECKS_H

#include "image.h"

#include <jansson.h>

/* What a check works with. */
typedef struct subject {
    const char *file;
    const char *config; /* JSON text */
    image *im;          /* loaded, unless the check needs it not */
    json_t *section;    /* config, checked and with defaults */
} subject;

typedef struct check {
    const char *name, *about;
    void (*run)(const subject *s);
    bool prerequisite; /* the others need it */
    bool loads;        /* needs im and section */
    bool hotswap;      /* only of those that hand state over */
    unsigned limit_s;
} check;

extern const check checks[];
extern const size_t n_checks;

/* The section with the defaults of the plugin's schema. NULL: a finding was made. */
json_t *section_read(const image *im, const char *config);

/* check_life.c */
void check_create(const subject *s);
void check_life(const subject *s);
void check_requests(const subject *s);
void check_messages(const subject *s);
void check_peers(const subject *s);
void check_busy(const subject *s);
/* check_swap.c */
void check_restart(const subject *s);
void check_swap(const subject *s);
void check_crossing(const subject *s);
void check_bad_state(const subject *s);
/* check_torture.c */
void check_missing(const subject *s);
void check_failures(const subject *s);
/* check_left.c */
void check_threads(const subject *s);
void check_files(const subject *s);
void check_memory(const subject *s);
void check_unload(const subject *s);

#endif
