/* service_net -- "broker.net/1": host/net, in the name of a build. */
#include "plugin/build.h"

/* Options as far as the caller's header knows them. */
static broker_net_options options_of(const broker_net_options *opt)
{
    broker_net_options o = {0};

    memcpy(&o, opt, opt->size < sizeof o ? opt->size : sizeof o);
    return o;
}

static broker_rc said(broker_ctx *ctx, broker_rc rc, sb *why)
{
    if (rc != BROKER_OK && why->len != 0)
        ctx->host->fail(ctx, rc, why->data);
    sb_done(why);
    return rc;
}

static broker_rc listen_on(broker_ctx *ctx, const broker_net_options *opt, net_accepted accepted,
                           void *self, broker_listener **out)
{
    build *b = build_of(ctx);
    broker_net_options o = options_of(opt);
    sb why = SB_INIT;

    return said(ctx, net_listen(b->parts->net, &b->ledger, &o, accepted, self, out, &why), &why);
}

static broker_rc connect_to(broker_ctx *ctx, const broker_net_options *opt,
                            const broker_peer_calls *calls, broker_conn **out)
{
    build *b = build_of(ctx);
    broker_net_options o = options_of(opt);
    sb why = SB_INIT;

    return said(ctx, net_connect(b->parts->net, &b->ledger, &o, calls, out, &why), &why);
}

static broker_rc upgrade(broker_req *req, const broker_net_options *opt,
                         const broker_peer_calls *calls, broker_conn **out)
{
    build *b = CONTAINER_OF(http_owner(req), build, ledger);
    broker_net_options o = options_of(opt);
    sb why = SB_INIT;
    broker_rc rc = BROKER_EINVAL;

    must(b->magic == BUILD_MAGIC);
    if (http_is_givable(req))
        rc = net_upgrade(b->parts->net, &b->ledger, http_head(req), &o, calls, out, &why);
    else
        sb_puts(&why, "a request whose body is being read cannot become a WebSocket");
    if (rc == BROKER_OK)
        http_give(req, net_upgrade_wire, *out);
    return said(&b->ctx, rc, &why);
}

static broker_rc adopt(broker_ctx *ctx, uint64_t id, const broker_peer_calls *calls,
                       broker_conn **out)
{
    build *b = build_of(ctx);

    return net_adopt(b->parts->net, &b->ledger, id, calls, out);
}

const broker_net service_net = {
    sizeof service_net, 0,           listen_on,  net_port,
    net_unlisten,       connect_to,  upgrade,    net_send,
    net_send_buf,       net_pause,   net_resume, net_queued,
    net_address,        net_hang_up, net_id,     adopt,
    net_header,
};
