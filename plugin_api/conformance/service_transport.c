/* service_transport -- "broker.transport/1" and "broker.verify/1" of the kit. */
#include "message.h"

#define CHECKER 0x63686572u
#define CHECK   0x6368656bu
#define ORIGIN  7u

static broker_rc attach(broker_ctx *ctx, const broker_carrier *carrier, uint64_t *origin)
{
    kit *k = kit_of(ctx);

    if (called(k, CALL_transport_attach))
        return refuse(k, CALL_transport_attach);
    if (carrier == NULL || origin == NULL ||
        !size_is_said(carrier->size, sizeof *carrier, "broker_carrier"))
        return BROKER_EINVAL;
    if (k->carrier != NULL) {
        finding("transport.attach() was called twice");
        return BROKER_EBUSY;
    }
    k->carrier = carrier;
    k->origin = *origin = ORIGIN;
    return BROKER_OK;
}

static void detach(broker_ctx *ctx, uint64_t origin)
{
    kit *k = kit_of(ctx);

    called(k, CALL_transport_detach);
    if (k->carrier == NULL || origin != k->origin)
        finding("transport.detach() was given an origin that is not attached");
    k->carrier = NULL;
}

const broker_transport kit_transport = {sizeof kit_transport, 0, attach, detach};

void transport_traffic(kit *k)
{
    broker_str stream = {"conformance.eth/carried", 23};
    const broker_carrier *c = k->carrier;
    broker_msg *msgs[3];

    if (c == NULL)
        return;
    for (size_t i = 0; i < COUNT_OF(msgs); i++)
        msgs[i] = message_new(k, stream, 0, (unsigned)i);
    if (c->on_interest != NULL)
        CROSS("on_interest", c->on_interest(c->self, stream, 0, 1));
    kit_run(1000);
    if (k->carrier != NULL && c->on_outgoing != NULL)
        CROSS("on_outgoing",
              c->on_outgoing(c->self, (const broker_msg *const *)msgs, COUNT_OF(msgs)));
    for (size_t i = 0; i < COUNT_OF(msgs); i++)
        message_drop(msgs[i]);
    kit_run(1000);
    if (k->carrier != NULL && c->on_interest != NULL)
        CROSS("on_interest", c->on_interest(c->self, stream, 0, 0));
    kit_run(60000);
}

/* ---- verify ---- */

typedef struct checker {
    object o;
    broker_checker c;
} checker;

struct broker_check {
    object o;
    broker_msg *msgs[2];
    atomic_bool answered;
};

static void checker_free(object *o)
{
    free(CONTAINER_OF(o, checker, o));
}

static void check_free(object *o)
{
    free(CONTAINER_OF(o, broker_check, o));
}

static broker_rc offer(broker_ctx *ctx, const broker_checker *what)
{
    kit *k = kit_of(ctx);
    checker *c;

    if (called(k, CALL_verify_offer))
        return refuse(k, CALL_verify_offer);
    if (what == NULL || !size_is_said(what->size, sizeof *what, "broker_checker") ||
        what->check == NULL)
        return BROKER_EINVAL;
    c = must_alloc(sizeof *c);
    c->c = *what;
    object_init(k, &c->o, CHECKER, checker_free);
    return BROKER_OK;
}

static void answer(broker_check *check, const int8_t *ok, size_t n)
{
    kit *k = called_on(check, CHECK, CALL_verify_answer);

    if (k == NULL)
        return;
    if (atomic_exchange(&check->answered, true)) {
        finding("verify.answer() was called twice for one check");
        return;
    }
    if (n != COUNT_OF(check->msgs))
        finding("verify.answer() was given %zu answers for %zu messages", n, COUNT_OF(check->msgs));
    for (size_t i = 0; i < n; i++)
        if (ok[i] < -1 || ok[i] > 1)
            finding("verify.answer() was given %d; it is 1, 0 or -1", ok[i]);
    for (size_t i = 0; i < COUNT_OF(check->msgs); i++)
        message_drop(check->msgs[i]);
    atomic_fetch_sub(&k->checks, 1);
}

const broker_verify kit_verify = {sizeof kit_verify, 0, offer, answer};

static void check_ask(kit *k, const checker *c, uint32_t kind)
{
    broker_check *check = must_alloc(sizeof *check);

    object_init(k, &check->o, CHECK, check_free);
    for (size_t i = 0; i < COUNT_OF(check->msgs); i++)
        check->msgs[i] = message_new(k, (broker_str){"conformance.eth/s", 17}, 0, (unsigned)i);
    atomic_fetch_add(&k->checks, 1);
    CROSS("check", c->c.check(c->c.self, kind, (const broker_msg *const *)check->msgs,
                              COUNT_OF(check->msgs), check));
    kit_run(60000);
    if (!check->answered)
        finding("a check of kind %u had no verify.answer() within a minute", kind);
}

void verify_traffic(kit *k)
{
    for (object *o = k->objects; o != NULL; o = o->next) {
        const checker *c = CONTAINER_OF(o, checker, o);

        for (uint32_t kind = 1; o->magic == CHECKER && kind <= BROKER_CHECK_MAY_PUBLISH; kind <<= 1)
            if ((c->c.kinds & kind) != 0)
                check_ask(k, c, kind);
    }
}
