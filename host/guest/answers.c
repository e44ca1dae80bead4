/* answers -- what the plugin answers: whole, or streamed by pull() on a worker.
 *
 * A part that was pulled goes to the node as far as the window lets it; the next pull() comes when
 * all of it is gone. Answers come from any thread; all else happens on the loop. */
#include "guest/request.h"

#include "run/log.h"

#include <strings.h>

/* ---- streaming ---- */

/* [worker] */
static void close_run(job *j)
{
    broker_req *r = CONTAINER_OF(j, broker_req, job);

    CROSS(&r->g->build->ledger, "close", r->stream.close(r->stream.self));
}

static void close_done(job *j)
{
    guest_req_free(CONTAINER_OF(j, broker_req, job));
}

static void stream_close(broker_req *r)
{
    if (r->closing)
        return;
    guest_req_abort(r); /* what is left of its body nobody wants any more */
    r->closing = true;
    r->job.run = close_run;
    r->job.done = close_done;
    pool_submit(r->g->pool, &r->job);
}

/* [worker] */
static void pull_run(job *j)
{
    broker_req *r = CONTAINER_OF(j, broker_req, job);

    if (!part_begin(&r->part)) {
        r->rc = BROKER_ENOMEM;
        return;
    }
    CROSS(&r->g->build->ledger, "pull", r->rc = r->stream.pull(r->stream.self, &r->part.w));
}

static void pull_done(job *j)
{
    broker_req *r = CONTAINER_OF(j, broker_req, job);

    r->pulling = false;
    r->sent = 0;
    if (r->rc < 0 || r->rc == BROKER_END) {
        guest_req_abort(r);
        r->over = true;
    } else if (r->part.len == 0 && r->rc == BROKER_AGAIN && !atomic_exchange(&r->woken, false)) {
        r->waiting = true;
    }
    guest_answer_step(r);
}

/* Of what was pulled, as much as may be under way. */
static void part_send(broker_req *r)
{
    while (r->sent < r->part.len && r->under_way < WINDOW_STREAM) {
        size_t n = r->part.len - r->sent, room = WINDOW_STREAM - r->under_way;
        uint8_t id[8];

        n = n < room ? n : room;
        put_u64be(id, r->id);
        channel_send(r->g->frames, WORD_CHUNK, (broker_bytes){id, sizeof id},
                     (broker_bytes){r->part.bytes + CHUNK_HEAD + r->sent, n});
        r->sent += n;
        r->under_way += n;
    }
}

static void end_send(const broker_req *r)
{
    uint8_t body[12];

    put_u64be(body, r->id);
    put_u32be(body + 8, (uint32_t)r->rc);
    channel_send(r->g->frames, WORD_END, (broker_bytes){body, sizeof body},
                 (broker_bytes){NULL, 0});
}

void guest_answer_step(broker_req *r)
{
    bool cut = r->over && r->rc < 0;

    if (!r->streaming || r->pulling || r->closing)
        return;
    if (!r->closed && !cut)
        part_send(r);
    if (!r->closed && !cut && r->sent < r->part.len)
        return;
    if (r->closed || r->over) {
        if (!r->closed)
            end_send(r);
        stream_close(r);
    } else if (!r->waiting && r->under_way < WINDOW_STREAM) {
        r->pulling = true;
        r->part.len = r->sent = 0;
        r->job.run = pull_run;
        r->job.done = pull_done;
        pool_submit(r->g->pool, &r->job);
    }
}

/* The request that a frame is about; *v is behind its number. NULL: it is over. */
static broker_req *named(guest *g, view *v)
{
    uint64_t id;

    if (!view_u64be(v, &id))
        guest_broken("a word about no request");
    return guest_req_of(g, id);
}

void guest_taken(guest *g, broker_buf *buf, broker_bytes body)
{
    view v = view_of(body.ptr, body.len);
    broker_req *r = named(g, &v);
    uint32_t n;

    (void)buf;
    if (!view_u32be(&v, &n))
        guest_broken("no number of bytes was taken");
    if (r == NULL)
        return;
    r->under_way -= n < r->under_way ? n : r->under_way;
    guest_answer_step(r);
}

void guest_close(guest *g, broker_buf *buf, broker_bytes body)
{
    view v = view_of(body.ptr, body.len);
    broker_req *r = named(g, &v);

    (void)buf;
    if (r == NULL)
        return;
    r->closed = true;
    guest_req_abort(r);
    guest_answer_step(r);
}

/* ---- answering, [any] ---- */

static bool end_as(broker_req *r, int how)
{
    int before = NOT_ENDED;

    return atomic_compare_exchange_strong(&r->ended, &before, how);
}

static bool is_value(const char *ptr, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)ptr[i] < 0x20 && ptr[i] != '\t') || ptr[i] == 0x7f)
            return false;
    return true;
}

/* Whether the node lets it into an answer. */
static bool header_is_good(const broker_header *h)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    return h->name != NULL && h->name[0] != '\0' && h->name[strspn(h->name, token)] == '\0' &&
           strcasecmp(h->name, "Content-Length") != 0 &&
           strcasecmp(h->name, "Transfer-Encoding") != 0 && is_value(h->value.ptr, h->value.len);
}

/* Numbers of the headers that may go. */
static uint32_t headers_sift(const broker_req *r, const broker_response *response,
                             size_t good[HEAD_HEADERS_MAX])
{
    uint32_t n = 0;

    for (size_t i = 0; i < response->n_headers; i++) {
        if (n < HEAD_HEADERS_MAX && header_is_good(&response->headers[i]))
            good[n++] = i;
        else
            log_error(r->g->build->manifest.name, "an answer has a header that it may not have, "
                                                  "or too many; it goes without that one");
    }
    return n;
}

/* What reply() and stream() have in common. */
static void head_put(sb *body, const broker_req *r, const broker_response *response,
                     uint32_t n_more)
{
    size_t good[HEAD_HEADERS_MAX];
    uint32_t n_good = headers_sift(r, response, good);

    pack_map(body, (response->type != NULL ? 4 : 3) + n_more);
    pack_uint(body, "req", r->id);
    pack_uint(body, "status", response->status);
    if (response->type != NULL)
        pack_text(body, "type", response->type);
    pack_list(body, "headers", n_good);
    for (uint32_t i = 0; i < n_good; i++) {
        const broker_header *h = &response->headers[good[i]];

        pack_map(body, 2);
        pack_bytes(body, "name", h->name, strlen(h->name));
        pack_bytes(body, "value", h->value.ptr, h->value.len);
    }
}

static broker_response response_of(const broker_response *given)
{
    broker_response r = {0};

    memcpy(&r, given, given->size < sizeof r ? given->size : sizeof r);
    if (r.status < 200 || r.status > 599)
        r.status = 500;
    if (r.type != NULL && !is_value(r.type, strlen(r.type)))
        r.type = NULL;
    return r;
}

static void replied_on_loop(loop_call *call)
{
    guest_req_free(CONTAINER_OF(call, broker_req, call_ended));
}

void guest_reply(broker_req *r, const broker_response *given)
{
    broker_response response = response_of(given);
    sb body = SB_INIT;

    if (!end_as(r, REPLIED))
        return;
    if (response.body.len > FRAME_MAX - PART_LEN) {
        log_error(r->g->build->manifest.name, "an answer of more than 63 MiB at once; it must be "
                                              "streamed");
        response = (broker_response){.size = sizeof response, .status = 500};
    }
    head_put(&body, r, &response, 1);
    pack_bytes(&body, "body", response.body.ptr, response.body.len);
    channel_send(r->g->frames, WORD_REPLY, bytes_of(&body), (broker_bytes){NULL, 0});
    sb_done(&body);
    r->call_ended.fn = replied_on_loop;
    loop_post(r->g->loop, &r->call_ended);
}

static void streamed_on_loop(loop_call *call)
{
    broker_req *r = CONTAINER_OF(call, broker_req, call_ended);
    size_t len;
    const char *method = unpack_bytes(r->map, "method", &len);

    r->streaming = true;
    if (method != NULL && len == 4 && memcmp(method, "HEAD", 4) == 0) {
        r->over = true; /* nobody wants to see it */
        r->rc = BROKER_END;
    }
    guest_answer_step(r);
}

void guest_stream(broker_req *r, const broker_response *given, const broker_body *stream)
{
    broker_response response = response_of(given);
    sb body = SB_INIT;

    if (!end_as(r, STREAMED))
        return;
    memcpy(&r->stream, stream, stream->size < sizeof r->stream ? stream->size : sizeof r->stream);
    head_put(&body, r, &response, 0);
    channel_send(r->g->frames, WORD_STREAM, bytes_of(&body), (broker_bytes){NULL, 0});
    sb_done(&body);
    r->call_ended.fn = streamed_on_loop;
    loop_post(r->g->loop, &r->call_ended);
}

static void wake_on_loop(loop_call *call)
{
    broker_req *r = CONTAINER_OF(call, broker_req, call_wake);

    if (!r->waiting)
        return;
    r->waiting = false;
    atomic_store(&r->woken, false);
    guest_answer_step(r);
}

void guest_wake(broker_req *r)
{
    if (!atomic_exchange(&r->woken, true))
        loop_post(r->g->loop, &r->call_wake);
}

void guest_answer_init(broker_req *r)
{
    r->call_wake.fn = wake_on_loop;
}
