/* net: WebSocket frames and handshakes without a socket, and connections between two builds on
 * a loop of their own. What is right is said by RFC 6455. */
#include "net/net.h"
#include "net/outq.h"
#include "net/shake.h"
#include "net/ws.h"

#include <criterion/criterion.h>

/* ---- handshake ---- */

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ASK                                                                                        \
    "GET /chat?x=1 HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n"                 \
    "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: " KEY "\r\n"

static unsigned asked(const char *text, sb *answer)
{
    static head h;
    const char *why;
    unsigned status = head_parse(text, strlen(text), &h, &why);

    if (status == 0)
        status = shake_check(&h, &why);
    if (status == 0 && answer != NULL)
        shake_agree(&h, "chat", answer);
    if (status != 0)
        cr_assert_gt(strlen(why), 0);
    return status;
}

Test(shake, the_example_of_the_rfc_is_agreed_to)
{
    sb answer = SB_INIT;

    cr_assert_eq(asked(ASK "Sec-WebSocket-Protocol: superchat, chat\r\nSec-WebSocket-Version: "
                           "13\r\n\r\n",
                       &answer),
                 0);
    cr_assert(strstr(answer.data, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") != NULL,
              "%s", answer.data);
    cr_assert(strstr(answer.data, "Sec-WebSocket-Protocol: chat\r\n") != NULL, "%s", answer.data);
    sb_done(&answer);
}

Test(shake, what_is_not_a_request_for_a_websocket_is_refused)
{
#define REQUEST(method, version, up, conn, key, v)                                                 \
    method " / HTTP/" version "\r\nHost: a\r\n" up conn key v "\r\n"
#define UP   "Upgrade: WebSocket\r\n"
#define CONN "Connection: upgrade\r\n"
#define K    "Sec-WebSocket-Key: " KEY "\r\n"
#define V    "Sec-WebSocket-Version: 13\r\n"
    static const struct {
        const char *text;
        unsigned status;
    } cases[] = {
        {REQUEST("GET", "1.1", UP, CONN, K, V), 0},
        {REQUEST("POST", "1.1", UP, CONN, K, V), 405},
        {REQUEST("GET", "1.0", UP, CONN, K, V), 400},
        {REQUEST("GET", "1.1", "", CONN, K, V), 426},
        {REQUEST("GET", "1.1", "Upgrade: h2c\r\n", CONN, K, V), 426},
        {REQUEST("GET", "1.1", UP, "", K, V), 426},
        {REQUEST("GET", "1.1", UP, "Connection: close\r\n", K, V), 426},
        {REQUEST("GET", "1.1", UP, CONN, "", V), 400},
        {REQUEST("GET", "1.1", UP, CONN, K K, V), 400},
        {REQUEST("GET", "1.1", UP, CONN, "Sec-WebSocket-Key: c2hvcnQ=\r\n", V), 400},
        {REQUEST("GET", "1.1", UP, CONN, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n", V),
         400},
        {REQUEST("GET", "1.1", UP, CONN, "Sec-WebSocket-Key: !!!!IHNhbXBsZSBub25jZQ==\r\n", V),
         400},
        {REQUEST("GET", "1.1", UP, CONN, K, ""), 426},
        {REQUEST("GET", "1.1", UP, CONN, K, "Sec-WebSocket-Version: 8\r\n"), 426},
        {REQUEST("GET", "1.1", UP, CONN, K, V V), 426},
        {REQUEST("GET", "1.1", UP, CONN, K, V "Content-Length: 1\r\n"), 400},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        cr_assert_eq(asked(cases[i].text, NULL), cases[i].status, "%u for %s",
                     asked(cases[i].text, NULL), cases[i].text);
}

Test(shake, a_refused_version_is_told_which_one_is_spoken)
{
    sb answer = SB_INIT;

    shake_refuse(401, &answer);
    cr_assert_str_eq(answer.data, "HTTP/1.1 401 Unauthorized\r\n\r\n");
    sb_clear(&answer);
    shake_refuse(426, &answer);
    cr_assert(strstr(answer.data, "Sec-WebSocket-Version: 13\r\n") != NULL);
    sb_done(&answer);
}

Test(shake, a_client_takes_only_the_answer_to_its_key)
{
#define YES  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
#define GOOD "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    static const struct {
        const char *text;
        bool right;
    } cases[] = {
        {YES GOOD "\r\n", true},
        {YES GOOD "Sec-WebSocket-Protocol: chat\r\n\r\n", true},
        {YES GOOD "Sec-WebSocket-Protocol: other\r\n\r\n", false},
        {YES GOOD "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", false},
        {YES "\r\n", false},
        {YES "Sec-WebSocket-Accept: xxxxLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", false},
        {YES GOOD GOOD "\r\n", false},
        {"HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" GOOD "\r\n", false},
        {"HTTP/1.1 101 \r\nConnection: Upgrade\r\n" GOOD "\r\n", false},
        {"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n" GOOD "\r\n", false},
    };
    static head h;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        unsigned status = 0;
        const char *why = head_parse_answer(cases[i].text, strlen(cases[i].text), &h, &status);

        cr_assert_null(why, "%s: %s", why, cases[i].text);
        why = shake_verify(&h, status, KEY, "chat");
        cr_assert_eq(why == NULL, cases[i].right, "%s for %s", why != NULL ? why : "agreed",
                     cases[i].text);
    }
}

Test(shake, an_answer_begins_with_its_version_and_status)
{
    static const char *const wrong[] = {"HTTP/1.0 101 x\r\n\r\n",     "HTTP/1.1 1 x\r\n\r\n",
                                        "HTTP/1.1 abc x\r\n\r\n",     "HTTP/1.1 1011\r\n\r\n",
                                        "HTTP/1.1 001 x\r\n\r\n",     "GET / HTTP/1.1\r\n\r\n",
                                        "HTTP/1.1 101\r\nbad\r\n\r\n"};
    static head h;
    unsigned status;

    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        cr_assert_not_null(head_parse_answer(wrong[i], strlen(wrong[i]), &h, &status), "%s",
                           wrong[i]);
}

/* ---- frames ---- */

/* Two ends that talk to each other. */
typedef struct end {
    ws *ws;
    sb out;      /* what it sent   */
    sb messages; /* what it got: "t5:hello" */
    unsigned kept;
    bool rests;
} end;

static void on_out(void *owner, const uint8_t *bytes, size_t len, broker_buf *buf)
{
    end *e = owner;

    e->kept += buf != NULL;
    sb_append(&e->out, bytes, len);
}

static bool on_message(void *owner, broker_buf *buf, broker_bytes data, bool text)
{
    end *e = owner;

    cr_assert(data.ptr >= buf->bytes && data.ptr + data.len <= buf->bytes + buf->len);
    sb_printf(&e->messages, "%c%zu:", text ? 't' : 'b', data.len);
    sb_append(&e->messages, data.ptr, data.len < 20 ? data.len : 20);
    return !e->rests;
}

static slab small;

static void end_init(end *e, bool server, size_t max)
{
    static const ws_calls calls = {.out = on_out, .message = on_message};

    *e = (end){0};
    e->ws = ws_new(server, max, &small, &calls, e);
    sb_puts(&e->messages, "");
    sb_puts(&e->out, "");
}

static void end_done(end *e)
{
    ws_free(e->ws);
    sb_done(&e->out);
    sb_done(&e->messages);
}

static void carry(end *from, end *to)
{
    cr_assert_eq(ws_feed(to->ws, (const uint8_t *)from->out.data, from->out.len), from->out.len);
    sb_clear(&from->out);
}

static void say(end *e, const void *bytes, size_t len, bool text)
{
    ws_send(e->ws, NULL, (broker_bytes){bytes, len}, text);
}

Test(frames, messages_of_every_length_form_arrive_in_both_directions)
{
    static const size_t lengths[] = {0, 1, 125, 126, 127, 4096, 4097, 65535, 65536, 65537, 1 << 20};
    static uint8_t bytes[1 << 20];
    end client, server;

    memset(bytes, 'x', sizeof bytes);
    end_init(&client, false, sizeof bytes);
    end_init(&server, true, sizeof bytes);
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        char expected[32];
        int n = snprintf(expected, sizeof expected, "t%zu:", lengths[i]);

        say(&client, bytes, lengths[i], true);
        carry(&client, &server);
        say(&server, bytes, lengths[i], true);
        carry(&server, &client);
        cr_assert_eq(strncmp(server.messages.data, expected, (size_t)n), 0, "%s",
                     server.messages.data);
        cr_assert_eq(strncmp(client.messages.data, expected, (size_t)n), 0, "%s",
                     client.messages.data);
        sb_clear(&client.messages);
        sb_clear(&server.messages);
    }
    end_done(&client);
    end_done(&server);
}

Test(frames, a_server_hands_the_buffer_on_and_a_client_masks_a_copy)
{
    broker_buf *buf = buf_new(100);
    end client, server;

    memset(buf_bytes(buf), 'k', 100);
    end_init(&client, false, 1000);
    end_init(&server, true, 1000);
    ws_send(server.ws, buf, (broker_bytes){buf->bytes + 10, 80}, false);
    cr_assert_eq(server.kept, 1);
    ws_send(client.ws, buf, (broker_bytes){buf->bytes + 10, 80}, false);
    cr_assert_eq(client.kept, 0);
    carry(&server, &client);
    cr_assert_eq(strncmp(client.messages.data, "b80:kkk", 7), 0, "%s", client.messages.data);
    end_done(&client);
    end_done(&server);
    buf_release(buf);
}

/* What a server makes of frames that a client would not send; 0: it goes on. */
static int verdict(const char *hex, char *got, size_t cap)
{
    uint8_t bytes[512];
    size_t len = strlen(hex) / 2;
    end e;
    int code = 0;

    cr_assert(hex_decode(bytes, hex, len * 2));
    end_init(&e, true, 200);
    for (size_t i = 0; i < len; i++)
        ws_feed(e.ws, bytes + i, 1);
    if (ws_is_over(e.ws)) {
        code = ws_code(e.ws);
        /* A Close went back: its code, or none for none. */
        cr_assert_eq((uint8_t)e.out.data[0], 0x88);
        if (code != WS_NONE)
            cr_assert_eq((uint8_t)e.out.data[2] << 8 | (uint8_t)e.out.data[3], code, "%s", hex);
    }
    snprintf(got, cap, "%s", e.messages.data);
    end_done(&e);
    return code;
}

#define M "00000000" /* a mask that masks nothing */

Test(frames, what_a_peer_may_not_send_ends_with_the_right_code)
{
    static const struct {
        const char *what, *hex;
        int code;
        const char *got;
    } cases[] = {
        {"text", "8185" M "68656c6c6f", 0, "t5:hello"},
        {"in pieces",
         "0182" M "6865"
         "0081" M "6c"
         "8082" M "6c6f",
         0, "t5:hello"},
        {"a ping inside",
         "0182" M "6865"
         "8981" M "41"
         "8083" M "6c6c6f",
         0, "t5:hello"},
        {"an empty piece", "0180" M "8082" M "6869", 0, "t2:hi"},
        {"a pong nobody asked for",
         "8a81" M "41"
         "8180" M,
         0, "t0:"},
        {"half a character in each piece",
         "0181" M "c3"
         "8081" M "a4",
         0, "t2:\xc3\xa4"},
        {"not masked", "810568656c6c6f", 1002, ""},
        {"reserved bit 1", "c181" M "41", 1002, ""},
        {"reserved bit 2", "a181" M "41", 1002, ""},
        {"reserved bit 3", "9181" M "41", 1002, ""},
        {"opcode 3", "8381" M "41", 1002, ""},
        {"opcode 7", "8781" M "41", 1002, ""},
        {"opcode 11", "8b81" M "41", 1002, ""},
        {"opcode 15", "8f81" M "41", 1002, ""},
        {"a ping in pieces", "0981" M "41", 1002, ""},
        {"a ping of 126 bytes", "89fe007e" M "41", 1002, ""},
        {"continuation of nothing", "8081" M "41", 1002, ""},
        {"a message inside another",
         "0181" M "41"
         "8181" M "41",
         1002, ""},
        {"length 5 in 16 bits", "81fe0005" M "4141414141", 1002, ""},
        {"length 5 in 64 bits", "81ff0000000000000005" M "4141414141", 1002, ""},
        {"length of 64 bits", "82ff8000000000000000" M "41", 1002, ""},
        {"201 bytes", "82fe00c9" M "41", 1009, ""},
        {"150 and 51 bytes", "02fe0096" M, 0, ""},
        {"not UTF-8", "8181" M "ff", 1007, ""},
        {"a surrogate", "8183" M "eda080", 1007, ""},
        {"text that ends inside a character", "8181" M "c3", 1007, ""},
        {"overlong", "8182" M "c0af", 1007, ""},
        {"binary may be anything", "8281" M "ff", 0, "b1:\xff"},
        {"Close", "8880" M, 1005, ""},
        {"Close 1000", "8882" M "03e8", 1000, ""},
        {"Close 1000 and a reason", "8885" M "03e8627965", 1000, ""},
        {"Close of one byte", "8881" M "03", 1002, ""},
        {"Close 999", "8882" M "03e7", 1002, ""},
        {"Close 1004", "8882" M "03ec", 1002, ""},
        {"Close 1005", "8882" M "03ed", 1002, ""},
        {"Close 1006", "8882" M "03ee", 1002, ""},
        {"Close 1007", "8882" M "03ef", 1007, ""},
        {"Close 1014", "8882" M "03f6", 1014, ""},
        {"Close 1015", "8882" M "03f7", 1002, ""},
        {"Close 2999", "8882" M "0bb7", 1002, ""},
        {"Close 3000", "8882" M "0bb8", 3000, ""},
        {"Close 4999", "8882" M "1387", 4999, ""},
        {"Close 5000", "8882" M "1388", 1002, ""},
        {"Close with a reason that is not UTF-8", "8883" M "03e8ff", 1007, ""},
        {"nothing counts after a Close",
         "8882" M "03e8"
         "8181" M "41",
         1000, ""},
    };
    char got[64];

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int code = verdict(cases[i].hex, got, sizeof got);

        cr_assert_eq(code, cases[i].code, "%s: %d, expected %d", cases[i].what, code,
                     cases[i].code);
        cr_assert_str_eq(got, cases[i].got, "%s: got '%s'", cases[i].what, got);
    }
}

Test(frames, a_message_in_pieces_is_held_to_the_limit_as_a_whole)
{
    uint8_t first[8 + 150] = {0x02, 0xfe, 0, 150}, second[6 + 51] = {0x80, 0x80 | 51};
    end e;

    end_init(&e, true, 200);
    ws_feed(e.ws, first, sizeof first);
    cr_assert_not(ws_is_over(e.ws));
    ws_feed(e.ws, second, sizeof second);
    cr_assert(ws_is_over(e.ws));
    cr_assert_eq(ws_code(e.ws), WS_TOO_BIG, "%d", ws_code(e.ws));
    end_done(&e);
}

Test(frames, a_reader_that_rests_gets_the_next_message_when_it_asks)
{
    end client, server;
    size_t used;

    end_init(&client, false, 1000);
    end_init(&server, true, 1000);
    server.rests = true;
    say(&client, "one", 3, true);
    say(&client, "two", 3, true);
    used = ws_feed(server.ws, (const uint8_t *)client.out.data, client.out.len);
    cr_assert_str_eq(server.messages.data, "t3:one");
    ws_feed(server.ws, (const uint8_t *)client.out.data + used, client.out.len - used);
    cr_assert_str_eq(server.messages.data, "t3:onet3:two");
    end_done(&client);
    end_done(&server);
}

Test(frames, a_flood_of_pings_is_answered_up_to_a_bound_and_then_the_last_one)
{
    end client, server;
    uint8_t ping[7] = {0x89, 0x81, 0, 0, 0, 0, 'a'};
    size_t before;

    end_init(&client, false, 1000);
    end_init(&server, true, 1000);
    for (unsigned i = 0; i < 1000; i++) {
        ping[6] = i == 999 ? 'z' : 'a';
        ws_feed(server.ws, ping, sizeof ping);
    }
    before = server.out.len;
    cr_assert_eq(before, 256 * 3, "%zu bytes", before);
    ws_sent(server.ws);
    cr_assert_eq(server.out.len, before + 3);
    cr_assert_eq(server.out.data[before + 2], 'z');
    ws_sent(server.ws);
    cr_assert_eq(server.out.len, before + 3, "once");
    end_done(&client);
    end_done(&server);
}

Test(frames, both_ends_may_close_and_nothing_is_told_after_that)
{
    end client, server;

    end_init(&client, false, 1000);
    end_init(&server, true, 1000);
    ws_close(client.ws, 4001, "because");
    say(&client, "late", 4, true);
    carry(&client, &server);
    cr_assert(ws_is_closed(server.ws));
    cr_assert_eq(ws_code(server.ws), 4001);
    cr_assert_str_eq(ws_why(server.ws), "because");
    cr_assert_str_eq(server.messages.data, "");
    carry(&server, &client);
    cr_assert(ws_is_closed(client.ws));
    cr_assert_eq(ws_code(client.ws), 4001);
    end_done(&client);
    end_done(&server);
}

Test(frames, a_long_reason_is_cut_between_characters)
{
    char why[300];
    end client, server;

    for (size_t i = 0; i < 298; i += 2)
        memcpy(why + i, "\xc3\xa4", 3);
    end_init(&client, false, 1000);
    end_init(&server, true, 1000);
    ws_close(client.ws, 1000, why);
    carry(&client, &server);
    cr_assert_eq(ws_code(server.ws), 1000);
    cr_assert_eq(strlen(ws_why(server.ws)), 122, "%zu", strlen(ws_why(server.ws)));
    end_done(&client);
    end_done(&server);
}

/* ---- queue ---- */

Test(outq, small_bytes_are_put_together_and_large_ones_stay_where_they_are)
{
    outq q = {0}, batch = {0};
    uv_buf_t bufs[OUTQ_BUFS];
    broker_buf *buf = buf_new(10000);

    for (unsigned i = 0; i < 100; i++)
        cr_assert(outq_copy(&q, "0123456789", 10));
    outq_keep(&q, buf, buf->bytes + 5, 9000);
    outq_copy(&q, "end", 3);
    cr_assert_eq(q.bytes, 1000 + 9000 + 3);
    cr_assert_eq(outq_take(&q, 1u << 20, bufs, &batch), 3);
    cr_assert_eq(bufs[0].len, 1000);
    cr_assert_eq((const void *)bufs[1].base, (const void *)(buf->bytes + 5));
    cr_assert_eq(memcmp(bufs[2].base, "end", 3), 0);
    cr_assert_eq(q.bytes, 0);
    cr_assert_eq(batch.bytes, 10003);
    outq_copy(&q, "more", 4); /* not behind what is with the kernel */
    cr_assert_eq(q.bytes, 4);
    outq_done(&batch);
    outq_done(&q);
    buf_release(buf);
}
