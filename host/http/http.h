/* http -- the one HTTP/1.1 listener: parsing, limits, authentication, routes,
 * bodies both ways.
 *
 * Everything is [loop] unless said otherwise. The accessors and answers of a
 * request have the signatures of `broker_http` in broker/plugin.h, whose comments
 * are their documentation; host/plugin puts them into the service table. */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "net/head.h"
#include "net/wire.h"
#include "run/buf.h"
#include "run/ledger.h"
#include "run/loop.h"
#include "run/pool.h"

#include <broker/plugin.h>

typedef struct http_server http_server;

typedef struct http_options {
    const char *host;      /* "127.0.0.1"                                   */
    unsigned port;         /* 0: any free one                               */
    const char *cert_file; /* PEM chain, or NULL: no TLS                    */
    const char *key_file;
    unsigned max_connections;    /* more are answered 503 and closed              */
    size_t max_head;             /* bytes of request line and headers; 431        */
    unsigned head_timeout_ms;    /* from the first byte to the end of the head; 408 */
    unsigned body_timeout_ms;    /* without a byte of the body; 408               */
    unsigned idle_timeout_ms;    /* between requests; also a reader that takes nothing */
    const char *const *api_keys; /* `Authorization: bearer KEY`; none: open       */
    size_t n_api_keys;
    const char *const *allowed_origins; /* may POST from a browser               */
    size_t n_allowed_origins;
    const char *const *allowed_hosts; /* values of Host beside the bound address,
                                       * localhost and [::1]; "*": any         */
    size_t n_allowed_hosts;
} http_options;

/* Listens, but accepts only after http_open(). Strings in options are copied. NULL: a
 * sentence in *why. */
http_server *http_new(loop *l, pool *p, const http_options *options, sb *why);
void http_open(http_server *s);
unsigned http_port(const http_server *s);
/* Stop accepting, close idle connections, let open requests end. drained() when none
 * is left. */
void http_drain(http_server *s, void (*drained)(void *arg), void *arg);
/* Cut what is left and free; closed() when all handles are closed. */
void http_close(http_server *s, void (*closed)(void *arg), void *arg);

/* Add a route. Callbacks go through CROSS(owner, ...); owner->requests counts requests
 * not ended and bodies not closed. NULL, or why not (a route with the same method and
 * pattern exists; a malformed pattern). The route struct is copied, its strings too. */
const char *http_route(http_server *s, ledger *owner, const broker_route *route);
/* Forget the routes of owner; its open requests run on. */
void http_unroute(http_server *s, const ledger *owner);

/* ---- across a swap (handover.c); the successor's ledger has the same name ----
 *
 * hold -> park -> (the old build lets go: vacate) -> the successor adds its routes, which take
 * the places of the old ones -> go_on. A swap that is given up goes from hold or park to
 * go_on. hold, park and end are called again until they are true. */

/* New requests with a body wait, bodies being read are saved. True: nothing of the owner is
 * open but answers that park can save. */
bool http_hold(http_server *s, const ledger *owner);
/* All new requests wait, streamed answers are saved. True: nothing of the owner is open. */
bool http_park(http_server *s, const ledger *owner);
/* The owner's routes are no more, as long as go_on does not open them again. True: nothing of
 * it is open. */
bool http_end(http_server *s, const ledger *owner);
/* The owner's routes are kept, in the name of keeper, for the next build of the name; keeper
 * stays until go_on. */
void http_vacate(http_server *s, const ledger *owner, ledger *keeper);
/* What waits or was saved goes on with the routes there are now; vacant ones are removed. */
void http_go_on(http_server *s, const char *name);

/* ---- the request, as in `broker_http` ---- */
broker_str http_method(broker_req *req);
broker_str http_target(broker_req *req);
broker_str http_param(broker_req *req, const char *name);
broker_str http_query(broker_req *req, const char *name);
broker_str http_header(broker_req *req, const char *name);
broker_str http_user(broker_req *req);
broker_str http_peer(broker_req *req);
broker_rc http_receive(broker_req *req, const broker_intake *intake);
void http_pause(broker_req *req);
void http_resume(broker_req *req);                                 /* [any] */
void http_reply(broker_req *req, const broker_response *response); /* [any] */
void http_stream(broker_req *req, const broker_response *response,
                 const broker_body *body); /* [any] */
void http_wake(broker_req *req);           /* [any] */

/* The parameters of its path one by one: how many, and the value of one and its name. */
size_t http_params(const broker_req *req);
broker_str http_param_at(const broker_req *req, size_t i, broker_str *name);

/* ---- a request that becomes something else than HTTP ---- */
const head *http_head(const broker_req *req);
ledger *http_owner(const broker_req *req);
/* Whether http_give() may be called: the body is over, and nobody reads it or has answered. */
bool http_is_givable(const broker_req *req);
/* End the request by giving its wire away, soon, with what was read behind it; NULL: the client
 * has left. [loop] */
void http_give(broker_req *req, void (*take)(void *arg, wire *w, const uint8_t *bytes, size_t len),
               void *arg);

#endif
