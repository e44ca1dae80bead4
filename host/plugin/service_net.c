/* service_net -- "broker.net/1": host/net, in the name of a build. */
#include "plugin/build.h"

static broker_rc listen_on(broker_ctx *ctx, const broker_net_options *o, net_accepted accepted,
                           void *self, broker_listener **out)
{
    build *b = build_of(ctx);
    sb why = SB_INIT;
    broker_listener *l = net_listen(b->parts->net, &b->ledger, o, accepted, self, &why);
    broker_rc rc = BROKER_OK;

    if (l != NULL)
        *out = l;
    else
        rc = ctx->host->fail(ctx, BROKER_EIO, why.data);
    sb_done(&why);
    return rc;
}

static broker_rc connect_to(broker_ctx *ctx, const broker_net_options *o,
                            const broker_peer_calls *calls, broker_conn **out)
{
    (void)o, (void)calls, (void)out;
    return ctx->host->fail(ctx, BROKER_ENOSYS, "this host does not connect to others yet");
}

static broker_rc upgrade(broker_req *req, const broker_net_options *o,
                         const broker_peer_calls *calls, broker_conn **out)
{
    (void)req, (void)o, (void)calls, (void)out;
    return BROKER_ENOSYS;
}

static broker_rc adopt(broker_ctx *ctx, uint64_t id, const broker_peer_calls *calls,
                       broker_conn **out)
{
    build *b = build_of(ctx);
    broker_conn *c = net_adopt(b->parts->net, &b->ledger, id, calls);

    if (c == NULL)
        return BROKER_EGONE;
    *out = c;
    return BROKER_OK;
}

const broker_net service_net = {
    sizeof service_net, 0,          listen_on,  net_port,
    net_unlisten,       connect_to, upgrade,    net_send,
    net_send_buf,       net_pause,  net_resume, net_queued,
    net_peer,           net_close,  net_id,     adopt,
};
