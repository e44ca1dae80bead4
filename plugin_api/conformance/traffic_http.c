/* traffic_http -- what clients send to the routes of a plugin. */
#include "request.h"

static const request_plan plans[] = {
    {.value = "0", .last = "last"},
    {.value = "0", .last = "from", .leaves = true},
    {.value = "conformance.eth/stream"},
    {.value = "0", .content = "{\"hello\":\"world\"}"},
    {.value = "0", .content = "{\"hello\":\"world\"}", .part = 3},
    {.value = "1", .last = "range", .content = "{\"hello\":\"world\"}", .part = 1},
    {.value = "-1", .content = "{\"hello\":", .part = 3},
    {.value = "a b/\xc3\xbc\"<%", .content = ""},
    {.value = "99999999999999999999", .content = "\x01 not what it should be", .part = 5},
    {.value = "0", .content = "{\"hello\":\"world\"}", .part = 2, .leaves = true},
};

/* One kind of request to every route. */
static void send_all(kit *k, const request_plan *plan)
{
    for (object *o = k->objects; o != NULL; o = o->next) {
        route *r = CONTAINER_OF(o, route, o);
        request_plan p = *plan;

        if (o->magic != ROUTE || r->ended)
            continue;
        request_send(r, &p);
        if (strcmp(r->method, "GET") != 0)
            continue;
        p.method = "HEAD";
        request_send(r, &p);
    }
}

void http_traffic(kit *k)
{
    for (size_t i = 0; i < COUNT_OF(plans); i++) {
        send_all(k, &plans[i]);
        http_finish(k);
    }
}

void http_begin(kit *k)
{
    request_plan p = {.value = "0", .last = "last", .content = "{\"hello\":\"world\"}", .part = 4};

    send_all(k, &p);
}

void http_begin_held(kit *k)
{
    request_plan p = {
        .value = "0", .last = "last", .content = "{\"hello\":\"world\"}", .part = 4, .held = true};

    send_all(k, &p);
    kit_run(1000);
}

void http_finish(kit *k)
{
    kit_run(60000);
    requests_check(k);
    kit_run(1000);
}

void kit_forget_http(kit *k)
{
    for (object *o = k->objects; o != NULL; o = o->next)
        if (o->magic == ROUTE)
            CONTAINER_OF(o, route, o)->ended = true;
}
