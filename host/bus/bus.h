/* bus -- messages from whoever brings them to whoever asked.
 *
 *   admit:   decode -> join identical bytes in flight -> verify (workers, in batches)
 *            -> subscriptions, in order of admission -> settle -> done
 *   publish: number in the chain -> sign (workers) -> as above, without verifying
 *
 * Everything is [loop] unless said otherwise. Function comments are those of
 * `broker_bus` and `broker_transport` in broker/plugin.h; `owner` is the caller's
 * ledger. */
#ifndef BUS_BUS_H
#define BUS_BUS_H

#include "bus/msg.h"
#include "bus/policy.h"
#include "run/ledger.h"
#include "run/pool.h"

#include <broker/plugin.h>

typedef struct bus bus;

typedef struct bus_options {
    policy policy;      /* its allow list stays valid as long as the bus        */
    const uint8_t *key; /* 32 bytes to sign with, or NULL: publish is refused   */
    size_t max_bytes;   /* raw bytes in flight; more: admit says BROKER_AGAIN   */
    size_t max_messages;
    /* Partitions of a stream, 0: not known. [any] */
    uint32_t (*partitions)(void *arg, broker_str stream);
    void *partitions_arg;
} bus_options;

bus *bus_new(loop *l, pool *p, const bus_options *options);
/* Nothing may be in flight. */
void bus_free(bus *b);
/* Whether every message that was taken has its outcome; plugins may keep some still. [loop] */
bool bus_is_idle(const bus *b);

broker_rc bus_subscribe(bus *b, ledger *owner, const broker_subscription *want, broker_sub **out);
void bus_unsubscribe(broker_sub *sub);
void bus_resume(broker_sub *sub); /* [any] */
void bus_settle(broker_sub *sub, const broker_msg *const *msgs, const broker_outcome *outcomes,
                size_t n); /* [any] */
broker_rc bus_admit(bus *b, ledger *owner, const broker_admission *what);
broker_rc bus_on_room(bus *b, ledger *owner, void (*room)(void *arg), void *arg);
broker_rc bus_publish(bus *b, ledger *owner, const broker_publication *what); /* [any] */
uint32_t bus_partitions(bus *b, broker_str stream);                           /* [any] */

broker_rc bus_attach(bus *b, ledger *owner, const broker_carrier *carrier, uint64_t *origin);
void bus_detach(bus *b, uint64_t origin);

/* `broker_verify`. */
broker_rc bus_offer(bus *b, ledger *owner, const broker_checker *checker);
void bus_answer(broker_check *check, const int8_t *ok, size_t n); /* [any] */

/* Drop everything the owner registered: subscriptions, carriers, checkers, room calls. */
void bus_forget(bus *b, const ledger *owner);

/* ---- Across a swap: the successor is the build whose ledger has the same name ----
 *
 * park -> (the old build lets go: vacate) -> the successor subscribes and attaches again
 * -> go_on. What is parked gathers messages and calls nobody. A swap that is given up
 * goes from park to go_on. */
void bus_park(bus *b, const ledger *owner);
/* The owner's subscriptions, carriers and checkers wait, in the name of keeper, for the next build
 * of the name; to unsubscribe or detach what is parked does the same. keeper stays until go_on. */
void bus_vacate(bus *b, const ledger *owner, ledger *keeper);
/* Deliver what has gathered; what nobody took over is dropped. */
void bus_go_on(bus *b, const char *name);

#endif
