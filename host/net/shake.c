/* shake -- see shake.h. */
#include "net/shake.h"

#include <openssl/evp.h>
#include <strings.h>

#define ACCEPT_LEN 28u

static bool is(broker_str s, const char *text)
{
    return s.ptr != NULL && s.len == strlen(text) && memcmp(s.ptr, text, s.len) == 0;
}

static unsigned count(const head *h, const char *name)
{
    unsigned n = 0;

    for (size_t i = 0; i < h->n_fields; i++)
        n += h->fields[i].name.len == strlen(name) &&
             strncasecmp(h->fields[i].name.ptr, name, h->fields[i].name.len) == 0;
    return n;
}

/* 16 bytes in base64, as an encoder writes them: 22 characters, the last of 2 bits, and "==". */
static bool key_is_right(broker_str key)
{
    uint8_t bytes[18], again[SHAKE_KEY];

    return key.ptr != NULL && key.len == SHAKE_KEY - 1 &&
           EVP_DecodeBlock(bytes, (const unsigned char *)key.ptr, (int)key.len) == sizeof bytes &&
           EVP_EncodeBlock(again, bytes, 16) == SHAKE_KEY - 1 &&
           memcmp(again, key.ptr, key.len) == 0;
}

unsigned shake_check(const head *h, const char **why)
{
    *why = "a WebSocket is asked for with GET";
    if (!is(h->method, "GET"))
        return 405;
    *why = "a WebSocket is asked for with HTTP/1.1, and without a body";
    if (h->minor != 1 || h->chunked || (h->has_length && h->length != 0))
        return 400;
    *why = "this is for WebSockets only ('Upgrade: websocket', 'Connection: Upgrade')";
    if (!head_has(h, "Upgrade", "websocket") || !head_has(h, "Connection", "upgrade"))
        return 426;
    *why = "Sec-WebSocket-Key is not the base64 text of 16 bytes";
    if (count(h, "Sec-WebSocket-Key") != 1 || !key_is_right(head_get(h, "Sec-WebSocket-Key")))
        return 400;
    *why = "the WebSocket version spoken here is 13";
    if (count(h, "Sec-WebSocket-Version") != 1 || !is(head_get(h, "Sec-WebSocket-Version"), "13"))
        return 426;
    *why = NULL;
    return 0;
}

/* What a server answers to a key. */
static void accept_of(const char *key, size_t len, char out[ACCEPT_LEN + 1])
{
    static const char suffix[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t text[SHAKE_KEY + sizeof suffix], digest[20];

    must(len == SHAKE_KEY - 1);
    memcpy(text, key, len);
    memcpy(text + len, suffix, sizeof suffix - 1);
    must(EVP_Digest(text, len + sizeof suffix - 1, digest, NULL, EVP_sha1(), NULL) == 1);
    must(EVP_EncodeBlock((unsigned char *)out, digest, sizeof digest) == (int)ACCEPT_LEN);
}

void shake_agree(const head *h, const char *protocol, sb *out)
{
    broker_str key = head_get(h, "Sec-WebSocket-Key");
    char accept[ACCEPT_LEN + 1];

    accept_of(key.ptr, key.len, accept);
    sb_printf(out,
              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Accept: %s\r\n",
              accept);
    if (protocol != NULL && head_has(h, "Sec-WebSocket-Protocol", protocol))
        sb_printf(out, "Sec-WebSocket-Protocol: %s\r\n", protocol);
    sb_puts(out, "\r\n");
}

void shake_refuse(unsigned status, sb *out)
{
    sb_printf(out, "HTTP/1.1 %u %s\r\n%s\r\n", status, status_text(status),
              status == 426 ? "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" : "");
}

void shake_key(char key[SHAKE_KEY])
{
    uint8_t bytes[16];

    random_bytes(bytes, sizeof bytes);
    must(EVP_EncodeBlock((unsigned char *)key, bytes, sizeof bytes) == SHAKE_KEY - 1);
}

void shake_ask(const char *host, const char *target, const char *protocol, const char *key, sb *out)
{
    sb_printf(out,
              "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n",
              target, host, key);
    if (protocol != NULL)
        sb_printf(out, "Sec-WebSocket-Protocol: %s\r\n", protocol);
    sb_puts(out, "\r\n");
}

const char *shake_verify(const head *h, unsigned status, const char *key, const char *protocol)
{
    char accept[ACCEPT_LEN + 1];
    broker_str chosen = head_get(h, "Sec-WebSocket-Protocol");

    if (status != 101)
        return "the server did not agree to a WebSocket";
    if (!head_has(h, "Upgrade", "websocket") || !head_has(h, "Connection", "upgrade"))
        return "the server switched to something else than a WebSocket";
    accept_of(key, strlen(key), accept);
    if (count(h, "Sec-WebSocket-Accept") != 1 || !is(head_get(h, "Sec-WebSocket-Accept"), accept))
        return "the server's Sec-WebSocket-Accept does not belong to our key";
    if (count(h, "Sec-WebSocket-Extensions") != 0)
        return "the server uses an extension nobody asked for";
    if (chosen.ptr != NULL && (protocol == NULL || !is(chosen, protocol)))
        return "the server chose a subprotocol nobody asked for";
    return NULL;
}
