/* readers -- see readers.h. */
#include "readers.h"

#include "chain_streams.h"
#include "credential.h"

#include <stdlib.h>

#define WAITING_MAX 1000u

typedef struct waiting {
    struct waiting *next, **at;
    readers *r;
    broker_req *req;
    readers_go_on go_on;
    unsigned of;
    uint8_t user[20];
    bool anonymous;
} waiting;

struct readers {
    logstore *l;
    broker_peer *peer; /* the plugin `chain` */
    waiting *first;
    size_t n;
    broker_metric *refused;
};

static void refuse(readers *r, broker_req *req, unsigned status, const char *why)
{
    static const broker_header ask = {"WWW-Authenticate", {"Basic realm=\"Streamr address\"", 29}};
    static const broker_header retry = {"Retry-After", {"1", 1}};
    sb body = SB_INIT;
    broker_response response = {.size = sizeof response,
                                .status = status,
                                .type = "application/json",
                                .headers = status == 401 ? &ask : &retry,
                                .n_headers = status == 401 || status == 503};

    sb_puts(&body, "{\"error\":");
    sb_json_string(&body, why, strlen(why));
    sb_putc(&body, '}');
    response.body = (broker_bytes){(const uint8_t *)body.data, body.len};
    r->l->metrics->add(r->refused, 1);
    r->l->http->reply(req, &response);
    sb_done(&body);
}

static void forget(waiting *w)
{
    *w->at = w->next;
    if (w->next != NULL)
        w->next->at = w->at;
    w->r->n--;
    free(w);
}

static void decided(waiting *w, broker_rc rc, int64_t value)
{
    readers *r = w->r;
    waiting it = *w;

    forget(w);
    if (rc != BROKER_OK)
        refuse(r, it.req, 503, "whether this may be read could not be found out from the chain");
    else if (value != 0)
        it.go_on(r->l, it.req, it.of);
    else if (it.anonymous)
        refuse(r, it.req, 401,
               "this stream is not public, or does not exist: send the credential of an address "
               "that may subscribe to it");
    else
        refuse(r, it.req, 403, "this address may not subscribe to the stream");
}

static void on_answer(void *arg, broker_rc rc, int64_t value, const char *why)
{
    (void)why; /* the chain plugin says so itself */
    decided(arg, rc, value);
}

static void ask(waiting *w, const sb *stream)
{
    readers *r = w->r;
    void *self;
    const chain_streams *chain = r->l->registry->enter(r->peer, &self);
    chain_question q = {.size = sizeof q,
                        .what = CHAIN_MAY_SUBSCRIBE,
                        .stream = {stream->data, stream->len},
                        .user = {w->user, sizeof w->user}};
    int64_t value = 0;
    broker_rc rc = BROKER_EGONE;

    if (chain != NULL) {
        rc = chain->ask(self, &q, &value, on_answer, w);
        r->l->registry->leave(r->peer);
    }
    if (rc != BROKER_AGAIN)
        decided(w, rc, value);
}

void readers_ask(readers *r, broker_req *req, readers_go_on go_on, unsigned of)
{
    broker_str header = r->l->http->header(req, "Authorization");
    uint8_t user[20] = {0}; /* the registry's name for everybody */
    const char *why = NULL;
    credential_kind kind = credential_read(header.ptr, header.len, user, &why);
    sb stream = SB_INIT;
    uint32_t partition;
    waiting *w;

    if (kind == CREDENTIAL_WRONG) {
        refuse(r, req, 401, why);
        return;
    }
    if (r->n == WAITING_MAX) {
        refuse(r, req, 503, "too many wait to hear whether they may read");
        return;
    }
    if (!path_part(r->l, req, &stream, &partition)) {
        sb_done(&stream);
        return;
    }
    w = must_alloc(sizeof *w);
    *w = (waiting){.next = r->first,
                   .at = &r->first,
                   .r = r,
                   .req = req,
                   .go_on = go_on,
                   .of = of,
                   .anonymous = kind == CREDENTIAL_NONE};
    memcpy(w->user, user, sizeof user);
    if (w->next != NULL)
        w->next->at = &w->next;
    r->first = w;
    r->n++;
    ask(w, &stream);
    sb_done(&stream);
}

const char *readers_trouble(readers *r)
{
    void *self;

    if (r->l->registry->enter(r->peer, &self) == NULL)
        return "'read' is \"chain\", but no plugin 'chain' says who may read: add plugins.chain";
    r->l->registry->leave(r->peer);
    return NULL;
}

readers *readers_new(logstore *l)
{
    readers *r = must_alloc(sizeof *r);

    r->l = l;
    if (l->metrics->counter(l->ctx, "readers_refused_total", NULL,
                            "Queries refused, as who asked may not read or it is not known.",
                            &r->refused) == BROKER_OK &&
        l->registry->follow(l->ctx, CHAIN_STREAMS_ID, &r->peer) == BROKER_OK)
        return r;
    free(r);
    return NULL;
}

void readers_free(readers *r)
{
    const chain_streams *chain;
    void *self;

    if (r == NULL)
        return;
    chain = r->first != NULL ? r->l->registry->enter(r->peer, &self) : NULL;
    while (r->first != NULL) {
        if (chain != NULL)
            chain->cancel(self, r->first);
        decided(r->first, BROKER_EGONE, 0);
    }
    if (chain != NULL)
        r->l->registry->leave(r->peer);
    free(r);
}
