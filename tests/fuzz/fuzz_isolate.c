/* A process of a plugin that has lost its mind: whatever it says, the node goes on; every message
 * it took gets one outcome, every request one answer.
 *
 * The input is a list of steps: what the process says (a word, a length, so many bytes), on the one
 * socket or the other, and what the node's other parts do meanwhile. */
#include "http/parts.h"
#include "isolate/parts.h"
#include "pack/pack.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MANY 64

static struct {
    broker_ctx ctx;
    standin *s;
    int frames, asks; /* the process's ends */
    struct {
        broker_subscription want;
        unsigned unsettled;
        bool there;
    } subs[MANY];
    size_t n_subs;
    broker_route routes[MANY];
    size_t n_routes;
    struct {
        broker_req req;
        unsigned answers;
        broker_intake intake;
        broker_body body;
        bool streams, last;
    } reqs[MANY];
    size_t n_reqs;
    broker_admission admissions[MANY];
    broker_publication publications[MANY];
    size_t n_admissions, n_publications;
    void (*room)(void *arg);
    void *room_arg;
    bool full;
    const broker_msg *taken[1024];
    size_t n_taken;
} f;

static const uint8_t raw[] = "a message";
static const broker_msg message = {.size = sizeof message, .raw = {raw, sizeof raw}};

/* ---- services ---- */

static void host_log(broker_ctx *ctx, uint32_t level, const char *line)
{
    (void)ctx, (void)level, (void)line;
}

static broker_rc host_fail(broker_ctx *ctx, broker_rc rc, const char *why)
{
    (void)ctx;
    must(strlen(why) < SIZE_MAX);
    return rc;
}

static const void *host_service(broker_ctx *ctx, const char *id)
{
    (void)ctx, (void)id;
    return NULL;
}

static const broker_host host = {sizeof host, BROKER_ABI_MAJOR, BROKER_ABI_MINOR,
                                 host_log,    host_fail,        host_service};

static broker_rc subscribe(broker_ctx *ctx, const broker_subscription *want, broker_sub **out)
{
    (void)ctx;
    if (f.n_subs == MANY)
        return BROKER_EBUSY;
    f.subs[f.n_subs].want = *want;
    f.subs[f.n_subs].there = true;
    *out = (broker_sub *)(void *)&f.subs[f.n_subs++];
    return BROKER_OK;
}

static size_t sub_index(const broker_sub *sub)
{
    return (size_t)((const char *)sub - (const char *)f.subs) / sizeof *f.subs;
}

static void unsubscribe(broker_sub *sub)
{
    bool *there = &f.subs[sub_index(sub)].there;

    must(*there);
    *there = false;
}

static void resume(broker_sub *sub)
{
    (void)sub;
}

static void settle(broker_sub *sub, const broker_msg *const *msgs, const broker_outcome *outcomes,
                   size_t n)
{
    unsigned *left = &f.subs[sub_index(sub)].unsettled;

    must(*left >= n);
    *left -= (unsigned)n;
    for (size_t i = 0; i < n; i++)
        must(msgs[i] == &message && outcomes[i].code >= BROKER_STORED &&
             outcomes[i].code <= BROKER_FULL &&
             (outcomes[i].reason == NULL || strlen(outcomes[i].reason) < SIZE_MAX));
}

static broker_rc admit(broker_ctx *ctx, const broker_admission *what)
{
    uint64_t sum = 0;

    (void)ctx;
    for (size_t i = 0; i < what->n; i++)
        sum += hash_bytes(what->frames[i].raw.ptr, what->frames[i].raw.len);
    if (f.full || f.n_admissions == MANY)
        return sum == 1 ? BROKER_EINVAL : BROKER_AGAIN;
    f.admissions[f.n_admissions++] = *what;
    return BROKER_OK;
}

static broker_rc on_room(broker_ctx *ctx, void (*room)(void *arg), void *arg)
{
    (void)ctx;
    f.room = room;
    f.room_arg = arg;
    return BROKER_OK;
}

static broker_rc publish(broker_ctx *ctx, const broker_publication *what)
{
    (void)ctx;
    if (f.full || f.n_publications == MANY)
        return BROKER_AGAIN;
    if (what->content.len == 3)
        return BROKER_EDENIED;
    must(what->content.len == 0 || hash_bytes(what->content.ptr, what->content.len) != 1);
    f.publications[f.n_publications++] = *what;
    return BROKER_OK;
}

static uint32_t partitions(broker_ctx *ctx, broker_str stream)
{
    (void)ctx;
    return hash_bytes(stream.ptr, stream.len) % 100;
}

static const broker_bus bus = {.size = sizeof bus,
                               .subscribe = subscribe,
                               .unsubscribe = unsubscribe,
                               .resume = resume,
                               .settle = settle,
                               .admit = admit,
                               .on_room = on_room,
                               .publish = publish,
                               .partitions = partitions};

static broker_rc add_route(broker_ctx *ctx, const broker_route *route)
{
    (void)ctx;
    if (f.n_routes == MANY)
        return BROKER_EBUSY;
    f.routes[f.n_routes++] = *route;
    return BROKER_OK;
}

static size_t index_of(const broker_req *req)
{
    return (size_t)((const char *)req - (const char *)f.reqs) / sizeof *f.reqs;
}

static broker_str req_text(broker_req *req)
{
    (void)req;
    return (broker_str){"x", 1};
}

static broker_rc receive(broker_req *req, const broker_intake *intake)
{
    f.reqs[index_of(req)].intake = *intake;
    return BROKER_OK;
}

static void req_nothing(broker_req *req)
{
    (void)req;
}

static void response_check(const broker_response *r)
{
    must(r->status >= 200 && r->status <= 599);
    for (size_t i = 0; i < r->n_headers; i++)
        must(strpbrk(r->headers[i].name, "\r\n:") == NULL && r->headers[i].value.len < SIZE_MAX);
    must(r->body.len == 0 || hash_bytes(r->body.ptr, r->body.len) != 1);
}

static void reply(broker_req *req, const broker_response *response)
{
    response_check(response);
    must(++f.reqs[index_of(req)].answers == 1);
}

static void stream(broker_req *req, const broker_response *response, const broker_body *body)
{
    response_check(response);
    must(++f.reqs[index_of(req)].answers == 1);
    f.reqs[index_of(req)].body = *body;
    f.reqs[index_of(req)].streams = true;
}

static const broker_http http = {.size = sizeof http,
                                 .route = add_route,
                                 .method = req_text,
                                 .target = req_text,
                                 .user = req_text,
                                 .peer = req_text,
                                 .receive = receive,
                                 .pause = req_nothing,
                                 .resume = req_nothing,
                                 .reply = reply,
                                 .stream = stream,
                                 .wake = req_nothing};

static broker_rc check(broker_ctx *ctx, broker_str key)
{
    (void)ctx;
    return hash_bytes(key.ptr, key.len) == 1 ? BROKER_OK : BROKER_EDENIED;
}

static const broker_access access_ = {.size = sizeof access_, .check = check};

static broker_rc metric_make_(broker_ctx *ctx, const char *name, const char *labels,
                              const char *help, broker_metric **out)
{
    (void)ctx;
    must(strlen(name) + strlen(help) + (labels != NULL ? strlen(labels) : 0) < SIZE_MAX);
    *out = (broker_metric *)(uintptr_t)1;
    return BROKER_OK;
}

static broker_rc histogram(broker_ctx *ctx, const char *name, const char *labels, const char *help,
                           const double *bounds, size_t n, broker_metric **out)
{
    for (size_t i = 0; i < n; i++)
        must(bounds[i] <= 1.7e308 || bounds[i] > 1.7e308); /* a number */
    return metric_make_(ctx, name, labels, help, out);
}

static void metric_add_(broker_metric *m, int64_t n)
{
    must(m != NULL && n != INT64_MIN + 1);
}

static void metric_set_(broker_metric *m, double value)
{
    must(m != NULL);
    (void)value;
}

static const broker_metrics metrics = {sizeof metrics, 0,           metric_make_, metric_make_,
                                       histogram,      metric_add_, metric_set_,  metric_set_};

static broker_rc address(broker_ctx *ctx, uint8_t out[20])
{
    (void)ctx;
    memset(out, 1, 20);
    return BROKER_OK;
}

static broker_rc sign_message(broker_ctx *ctx, broker_bytes text, uint8_t out[65])
{
    (void)ctx;
    memset(out, text.len != 0 ? text.ptr[text.len - 1] : 0, 65);
    return BROKER_OK;
}

static broker_rc sign_typed(broker_ctx *ctx, const uint8_t domain[32], const uint8_t hash[32],
                            uint8_t out[65])
{
    (void)ctx;
    memset(out, domain[31] ^ hash[31], 65);
    return BROKER_OK;
}

static broker_rc sign_digest(broker_ctx *ctx, const uint8_t digest[32], uint8_t out[65])
{
    (void)ctx, (void)digest, (void)out;
    return BROKER_EDENIED;
}

static const broker_sign sign = {sizeof sign, 0, address, sign_message, sign_typed, sign_digest};

static void state(broker_ctx *ctx, uint32_t value, const char *why)
{
    (void)ctx;
    must(value <= BROKER_STATE_DEGRADED && strlen(why) < SIZE_MAX);
}

static const broker_node node_ = {.size = sizeof node_, .state = state};

/* ---- what happens meanwhile ---- */

static void deliver(void)
{
    const broker_msg *msgs[] = {&message, &message, &message};

    for (size_t i = 0; i < f.n_subs; i++) {
        size_t n;

        if (!f.subs[i].there)
            continue;
        n = f.subs[i].want.on_msgs(f.subs[i].want.self, msgs, 3);
        must(n <= 3);
        if ((f.subs[i].want.flags & BROKER_SUB_DURABLE) != 0)
            f.subs[i].unsettled += (unsigned)n;
    }
}

static void finish_input(void)
{
    broker_outcome all[256] = {{0}};

    for (size_t i = 0; i < COUNT_OF(all); i++)
        all[i] = (broker_outcome){BROKER_REJECTED, 0, "no"};
    for (size_t i = 0; i < f.n_admissions; i++) {
        broker_admission a = f.admissions[i];
        broker_outcome *many = must_alloc(a.n * sizeof *many);

        for (size_t k = 0; k < a.n; k++)
            many[k] = all[0];
        a.done(a.arg, many, a.n);
        free(many);
    }
    f.n_admissions = 0;
    for (size_t i = 0; i < f.n_publications; i++)
        f.publications[i].done(f.publications[i].arg, i % 2 ? &message : NULL, all);
    f.n_publications = 0;
}

static void new_request(size_t which, bool with_body)
{
    broker_req *req;

    if (f.n_routes == 0 || f.n_reqs == MANY)
        return;
    which %= f.n_routes;
    req = &f.reqs[f.n_reqs++].req;
    req->head.chunked = with_body;
    f.routes[which].on_req(f.routes[which].self, req);
}

static void more_body(uint8_t how)
{
    broker_buf *buf = buf_new(10);
    broker_writer none = {0};

    memset(buf_bytes(buf), 1, 10);
    for (size_t i = 0; i < f.n_reqs; i++) {
        broker_intake *in = &f.reqs[i].intake;

        if (in->on_body == NULL || f.reqs[i].last || f.reqs[i].answers != 0)
            continue;
        f.reqs[i].last = how % 4 == 1 || how % 4 == 2;
        if (how % 4 == 3)
            continue;
        if (how % 4 == 2)
            in->on_abort(in->self, &f.reqs[i].req);
        else
            in->on_body(in->self, &f.reqs[i].req, buf, (broker_bytes){buf->bytes, 10},
                        f.reqs[i].last);
    }
    (void)none;
    buf_release(buf);
}

typedef struct sink {
    broker_writer w;
    size_t room;
} sink;

static broker_rc sink_write(broker_writer *w, const void *bytes, size_t len)
{
    sink *k = (sink *)(void *)w;

    must(len == 0 || hash_bytes(bytes, len) != 1);
    if (k->room == 0)
        return BROKER_AGAIN;
    k->room--;
    return BROKER_OK;
}

static void pull_all(size_t room)
{
    for (size_t i = 0; i < f.n_reqs; i++) {
        sink k = {{.size = sizeof k.w, .write = sink_write}, room};
        broker_rc rc;

        if (!f.reqs[i].streams)
            continue;
        rc = f.reqs[i].body.pull(f.reqs[i].body.self, &k.w);
        if (rc != BROKER_END && rc >= 0)
            continue;
        f.reqs[i].streams = false;
        f.reqs[i].body.close(f.reqs[i].body.self);
    }
}

static void close_all(void)
{
    for (size_t i = 0; i < f.n_reqs; i++)
        if (f.reqs[i].streams) {
            f.reqs[i].streams = false;
            f.reqs[i].body.close(f.reqs[i].body.self);
        }
}

static void save_all(void)
{
    for (size_t i = 0; i < f.n_reqs; i++) {
        broker_intake *in = &f.reqs[i].intake;
        sink k = {{.size = sizeof k.w, .write = sink_write}, 1};

        if (in->on_body == NULL || f.reqs[i].last || f.reqs[i].answers != 0)
            continue;
        if (in->save(in->self, &f.reqs[i].req, &k.w) == BROKER_OK) {
            f.reqs[i].last = true;
            f.reqs[i].answers++; /* it is another build's */
        }
    }
}

static void run_loop(void)
{
    uv_run(loop_uv(f.s->loop), UV_RUN_NOWAIT);
}

/* What the process says reaches the node at once. */
static void say(bool asks, uint8_t word, const uint8_t *bytes, size_t len)
{
    channel *list[] = {f.s->frames, f.s->asks};
    uint8_t head[FRAME_HEAD], heard[4096];
    int fd = asks ? f.asks : f.frames;
    bool over = false;

    if (f.s->frames == NULL)
        return;
    put_u32be(head, (uint32_t)len + 1);
    head[4] = word;
    if (write(fd, head, sizeof head) != (ssize_t)sizeof head ||
        (len != 0 && write(fd, bytes, len) != (ssize_t)len))
        return;
    channel_pump(list, 2, &over, 1);
    while (recv(f.frames, heard, sizeof heard, MSG_DONTWAIT) > 0)
        ;
    while (recv(f.asks, heard, sizeof heard, MSG_DONTWAIT) > 0)
        ;
}

static void ask_route(void)
{
    sb map = SB_INIT;

    pack_map(&map, 6);
    pack_uint(&map, "id", 1 + f.n_routes);
    pack_uint(&map, "flags", 0);
    pack_uint(&map, "maxBody", 100);
    pack_text(&map, "method", "POST");
    pack_text(&map, "path", "/x");
    pack_bool(&map, "resumes", true);
    say(true, ASK_ROUTE, (const uint8_t *)map.data, map.len);
    sb_done(&map);
}

static void ask_subscribe(void)
{
    sb map = SB_INIT;

    pack_map(&map, 4);
    pack_uint(&map, "id", 1 + f.n_subs);
    pack_uint(&map, "flags", BROKER_SUB_DURABLE);
    pack_uint(&map, "partition", f.n_subs);
    pack_text(&map, "stream", "a/b");
    say(true, ASK_SUBSCRIBE, (const uint8_t *)map.data, map.len);
    sb_done(&map);
}

static void begin(void)
{
    int frames[2], asks[2];
    standin *s = must_alloc(sizeof *s);

    memset(&f, 0, sizeof f);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, frames) == 0 &&
         socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, asks) == 0);
    f.ctx.host = &host;
    f.s = s;
    f.frames = frames[1];
    f.asks = asks[1];
    s->loop = loop_new();
    s->name = must_strdup("mad");
    s->version = must_strdup("1");
    s->data_dir = must_strdup("");
    s->file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    s->kept_end = &s->kept;
    standin_connect(s, frames[0], asks[0]);
    s->ctx = &f.ctx;
    s->bus = &bus;
    s->http = &http;
    s->access = &access_;
    s->metrics = &metrics;
    s->sign = &sign;
    s->node = &node_;
    s->stage = RUNNING;
}

static void finish(void)
{
    loop *l = f.s->loop;

    standin_lose(f.s, "it is over");
    pull_all(9);
    more_body(1); /* what was saved for a change that did not come goes on, to its end */
    run_loop();
    f.full = false;
    finish_input();
    for (size_t i = 0; i < f.n_subs; i++)
        must(f.subs[i].unsettled == 0);
    for (size_t i = 0; i < f.n_reqs; i++)
        must(f.reqs[i].answers == 1);
    standin_forget(f.s);
    standin_free(f.s);
    close(f.frames);
    close(f.asks);
    loop_free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    view v = view_of(data, size);
    uint8_t op, word, len, arg;
    const uint8_t *bytes;

    begin();
    while (view_u8(&v, &op)) {
        switch (op % 12) {
        case 0:
        case 1:
        case 2:
            if (view_u8(&v, &word) && view_u8(&v, &len) && view_skip(&v, len, &bytes))
                say(op % 12 == 2, word, bytes, len);
            break;
        case 3:
            ask_route();
            break;
        case 4:
            ask_subscribe();
            break;
        case 5:
            deliver();
            break;
        case 6:
            if (view_u8(&v, &arg))
                new_request(arg / 2, arg % 2 != 0);
            break;
        case 7:
            if (view_u8(&v, &arg))
                more_body(arg);
            break;
        case 8:
            pull_all(op / 12 % 3);
            run_loop();
            break;
        case 9:
            close_all();
            run_loop();
            break;
        case 10:
            save_all();
            run_loop();
            break;
        default:
            f.full = op / 12 % 2 != 0;
            if (!f.full)
                finish_input();
            if (!f.full && f.room != NULL) {
                void (*room)(void *arg) = f.room;

                f.room = NULL;
                room(f.room_arg);
            }
            run_loop();
        }
    }
    finish();
    return 0;
}
