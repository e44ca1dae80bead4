/* calls -- every function of every service table: where it may be called, whether it brings
 * about something new, and whether it can fail.
 *
 * This is the header's word in a form the kit can check. */
#ifndef CONFORMANCE_CALLS_H
#define CONFORMANCE_CALLS_H

/* X(service, function, thread, NEW or OLD, failure)
 * NEW: registers or begins something; not in create(), not after quiesce(). failure: what it
 * says when it is made to fail; NEVER: it cannot. */
#define CALLS(X)                                                                                   \
    X(config, integer, ANY, OLD, NEVER)                                                            \
    X(config, boolean, ANY, OLD, NEVER)                                                            \
    X(config, string, ANY, OLD, NEVER)                                                             \
    X(config, json, ANY, OLD, NEVER)                                                               \
    X(config, shared, ANY, OLD, BROKER_EIO)                                                        \
    X(config, data_dir, ANY, OLD, BROKER_EIO)                                                      \
    X(bus, subscribe, LOOP, NEW, BROKER_ENOMEM)                                                    \
    X(bus, unsubscribe, LOOP, OLD, NEVER)                                                          \
    X(bus, resume, ANY, OLD, NEVER)                                                                \
    X(bus, settle, ANY, OLD, NEVER)                                                                \
    X(bus, retain, ANY, OLD, NEVER)                                                                \
    X(bus, release, ANY, OLD, NEVER)                                                               \
    X(bus, admit, LOOP, NEW, BROKER_AGAIN)                                                         \
    X(bus, on_room, LOOP, NEW, BROKER_ENOMEM)                                                      \
    X(bus, publish, ANY, NEW, BROKER_AGAIN)                                                        \
    X(bus, partitions, ANY, OLD, BROKER_EIO)                                                       \
    X(bus, buf_new, ANY, OLD, BROKER_ENOMEM)                                                       \
    X(bus, buf_retain, ANY, OLD, NEVER)                                                            \
    X(bus, buf_release, ANY, OLD, NEVER)                                                           \
    X(transport, attach, LOOP, NEW, BROKER_EBUSY)                                                  \
    X(transport, detach, LOOP, OLD, NEVER)                                                         \
    X(verify, offer, LOOP, NEW, BROKER_EBUSY)                                                      \
    X(verify, answer, ANY, OLD, NEVER)                                                             \
    X(http, route, LOOP, NEW, BROKER_EBUSY)                                                        \
    X(http, method, LOOP, OLD, NEVER)                                                              \
    X(http, target, LOOP, OLD, NEVER)                                                              \
    X(http, param, LOOP, OLD, NEVER)                                                               \
    X(http, query, LOOP, OLD, NEVER)                                                               \
    X(http, header, LOOP, OLD, NEVER)                                                              \
    X(http, user, LOOP, OLD, NEVER)                                                                \
    X(http, peer, LOOP, OLD, NEVER)                                                                \
    X(http, receive, LOOP, OLD, BROKER_EGONE)                                                      \
    X(http, pause, LOOP, OLD, NEVER)                                                               \
    X(http, resume, ANY, OLD, NEVER)                                                               \
    X(http, reply, ANY, OLD, NEVER)                                                                \
    X(http, stream, ANY, OLD, NEVER)                                                               \
    X(http, wake, ANY, OLD, NEVER)                                                                 \
    X(access, required, ANY, OLD, NEVER)                                                           \
    X(access, check, ANY, OLD, BROKER_EDENIED)                                                     \
    X(net, listen, LOOP, NEW, BROKER_EBUSY)                                                        \
    X(net, port, LOOP, OLD, NEVER)                                                                 \
    X(net, unlisten, LOOP, OLD, NEVER)                                                             \
    X(net, connect, LOOP, NEW, BROKER_EIO)                                                         \
    X(net, upgrade, LOOP, NEW, BROKER_EINVAL)                                                      \
    X(net, send, LOOP, OLD, BROKER_EGONE)                                                          \
    X(net, send_buf, LOOP, OLD, BROKER_EGONE)                                                      \
    X(net, pause, LOOP, OLD, NEVER)                                                                \
    X(net, resume, LOOP, OLD, NEVER)                                                               \
    X(net, queued, LOOP, OLD, NEVER)                                                               \
    X(net, address, LOOP, OLD, NEVER)                                                              \
    X(net, close, LOOP, OLD, NEVER)                                                                \
    X(net, id, LOOP, OLD, NEVER)                                                                   \
    X(net, adopt, LOOP, NEW, BROKER_EGONE)                                                         \
    X(net, header, LOOP, OLD, NEVER)                                                               \
    X(fetch, start, LOOP, NEW, BROKER_EIO)                                                         \
    X(fetch, cancel, LOOP, OLD, NEVER)                                                             \
    X(fetch, header, LOOP, OLD, NEVER)                                                             \
    X(work, submit, ANY, NEW, BROKER_ENOMEM)                                                       \
    X(work, timer, LOOP, NEW, BROKER_ENOMEM)                                                       \
    X(work, timer_stop, LOOP, OLD, NEVER)                                                          \
    X(work, now_ms, ANY, OLD, NEVER)                                                               \
    X(work, clock_ms, ANY, OLD, NEVER)                                                             \
    X(metrics, counter, LOOP, NEW, BROKER_EINVAL)                                                  \
    X(metrics, gauge, LOOP, NEW, BROKER_EINVAL)                                                    \
    X(metrics, histogram, LOOP, NEW, BROKER_EINVAL)                                                \
    X(metrics, add, ANY, OLD, NEVER)                                                               \
    X(metrics, set, ANY, OLD, NEVER)                                                               \
    X(metrics, observe, ANY, OLD, NEVER)                                                           \
    X(registry, offer, LOOP, NEW, BROKER_EBUSY)                                                    \
    X(registry, follow, LOOP, NEW, BROKER_ENOMEM)                                                  \
    X(registry, enter, ANY, OLD, NEVER)                                                            \
    X(registry, leave, ANY, OLD, NEVER)                                                            \
    X(sign, address, ANY, OLD, BROKER_EDENIED)                                                     \
    X(sign, message, ANY, OLD, BROKER_EDENIED)                                                     \
    X(sign, typed, ANY, OLD, BROKER_EDENIED)                                                       \
    X(sign, digest, ANY, OLD, BROKER_EDENIED)                                                      \
    X(node, state, ANY, OLD, NEVER)                                                                \
    X(node, version, ANY, OLD, NEVER)

#define CALL_ID(service, function, ...) CALL_##service##_##function,
typedef enum call { CALLS(CALL_ID) CALL_KINDS } call;
#undef CALL_ID

typedef enum call_thread { CALL_LOOP, CALL_ANY } call_thread;

typedef struct call_rule {
    const char *name; /* "bus.subscribe" */
    call_thread thread;
    int is_new, failure; /* failure 0: it cannot fail */
} call_rule;

extern const call_rule call_rules[CALL_KINDS];

#endif
