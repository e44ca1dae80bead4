/* upgrade -- see upgrade.h. */
#include "net/upgrade.h"

#include <openssl/evp.h>
#include <strings.h>

#define KEY_LEN 24 /* 16 bytes in base64 */

static bool is(broker_str s, const char *text)
{
    return s.len == strlen(text) && strncasecmp(s.ptr, text, s.len) == 0;
}

/* Whether a comma-separated list has the token. */
static bool has_token(broker_str list, const char *token)
{
    const char *p = list.ptr, *end = p != NULL ? p + list.len : NULL;

    while (p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p)), *stop = comma != NULL ? comma : end;
        const char *last = stop;

        while (p < last && (*p == ' ' || *p == '\t'))
            p++;
        while (last > p && (last[-1] == ' ' || last[-1] == '\t'))
            last--;
        if (is((broker_str){p, (size_t)(last - p)}, token))
            return true;
        p = stop + 1;
    }
    return false;
}

static bool key_ok(broker_str key)
{
    uint8_t raw[KEY_LEN];

    return key.len == KEY_LEN && memcmp(key.ptr + KEY_LEN - 2, "==", 2) == 0 &&
           key.ptr[KEY_LEN - 3] != '=' &&
           EVP_DecodeBlock(raw, (const uint8_t *)key.ptr, KEY_LEN) == 18;
}

static void accept_make(broker_str key, char out[UPGRADE_ACCEPT_LEN + 1])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t text[KEY_LEN + sizeof guid - 1], digest[20];

    memcpy(text, key.ptr, KEY_LEN);
    memcpy(text + KEY_LEN, guid, sizeof guid - 1);
    must(EVP_Digest(text, sizeof text, digest, NULL, EVP_sha1(), NULL) == 1);
    EVP_EncodeBlock((uint8_t *)out, digest, sizeof digest);
}

unsigned upgrade_check(const head *h, char accept[UPGRADE_ACCEPT_LEN + 1])
{
    broker_str key = head_get(h, "Sec-WebSocket-Key"),
               version = head_get(h, "Sec-WebSocket-Version");

    if (!is(h->method, "GET") || h->minor != 1 || h->chunked || h->length != 0 ||
        head_get(h, "Host").ptr == NULL || !has_token(head_get(h, "Upgrade"), "websocket") ||
        !has_token(head_get(h, "Connection"), "upgrade"))
        return 400;
    if (!is(version, "13"))
        return 426;
    if (!key_ok(key))
        return 400;
    accept_make(key, accept);
    return 0;
}

void upgrade_answer(const char *accept, const char *protocol, sb *out)
{
    sb_printf(out,
              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Accept: %s\r\n",
              accept);
    if (protocol != NULL)
        sb_printf(out, "Sec-WebSocket-Protocol: %s\r\n", protocol);
    sb_puts(out, "\r\n");
}

void upgrade_refuse(unsigned status, sb *out)
{
    static const struct {
        unsigned status;
        const char *text;
    } texts[] = {
        {400, "Bad Request"},       {401, "Unauthorized"},          {403, "Forbidden"},
        {404, "Not Found"},         {408, "Request Timeout"},       {426, "Upgrade Required"},
        {429, "Too Many Requests"}, {500, "Internal Server Error"}, {503, "Service Unavailable"},
    };
    const char *text = "Refused";

    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (texts[i].status == status)
            text = texts[i].text;
    sb_printf(out, "HTTP/1.1 %u %s\r\n%s\r\n", status, text,
              status == 426 ? "Sec-WebSocket-Version: 13\r\n" : "");
}
