/* service_bus -- "broker.bus/1", "broker.transport/1" and "broker.verify/1": host/bus, in the name
 * of a build. */
#include "plugin/build.h"

static broker_rc subscribe(broker_ctx *ctx, const broker_subscription *want, broker_sub **out)
{
    build *b = build_of(ctx);

    return bus_subscribe(b->parts->bus, &b->ledger, want, out);
}

static broker_rc admit(broker_ctx *ctx, const broker_admission *what)
{
    build *b = build_of(ctx);

    return bus_admit(b->parts->bus, &b->ledger, what);
}

static broker_rc on_room(broker_ctx *ctx, void (*room)(void *arg), void *arg)
{
    build *b = build_of(ctx);

    return bus_on_room(b->parts->bus, &b->ledger, room, arg);
}

static broker_rc publish(broker_ctx *ctx, const broker_publication *what)
{
    build *b = build_of(ctx);

    return bus_publish(b->parts->bus, &b->ledger, what);
}

static uint32_t partitions(broker_ctx *ctx, broker_str stream)
{
    return bus_partitions(build_of(ctx)->parts->bus, stream);
}

static broker_buf *new_buf(broker_ctx *ctx, size_t len)
{
    (void)ctx;
    return buf_new(len);
}

const broker_bus service_bus = {
    sizeof service_bus, 0,     subscribe, bus_unsubscribe, bus_resume, bus_settle, msg_retain,
    msg_release,        admit, on_room,   publish,         partitions, new_buf,    buf_retain,
    buf_release,
};

static broker_rc attach(broker_ctx *ctx, const broker_carrier *carrier, uint64_t *origin)
{
    build *b = build_of(ctx);

    return bus_attach(b->parts->bus, &b->ledger, carrier, origin);
}

static void detach(broker_ctx *ctx, uint64_t origin)
{
    bus_detach(build_of(ctx)->parts->bus, origin);
}

static broker_rc offer(broker_ctx *ctx, const broker_checker *checker)
{
    build *b = build_of(ctx);
    broker_rc rc = bus_offer(b->parts->bus, &b->ledger, checker);

    return rc != BROKER_EBUSY
               ? rc
               : ctx->host->fail(ctx, rc, "another plugin answers checks of this kind already");
}

const broker_verify service_verify = {sizeof service_verify, 0, offer, bus_answer};

const broker_transport service_transport = {sizeof service_transport, 0, attach, detach};
