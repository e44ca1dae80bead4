/* payload -- what a publisher signs, and whether the publisher did.
 *
 * A payload is a list of pieces: most point into the message, numbers and short hex
 * lie in the struct. Only what is rare is written out on the heap: key exchange,
 * legacy messages with hex in them, publishers with long keys. */
#include "streamr/internal.h"

#include "eth/eth.h"
#include "mldsa/mldsa.h"
#include "protobuf/protobuf.h"

#include <inttypes.h>

#define SHORT_KEY 33u /* of the publishers that sign with elliptic curves */

typedef struct payload {
    eth_part part[8];
    size_t n;
    char numbers[64 + 2 * SHORT_KEY];
    char prev[40];
    sb publisher, body; /* each written once, so that pieces may point into it */
} payload;

static void add(payload *p, const void *bytes, size_t len)
{
    must(p->n < COUNT_OF(p->part));
    p->part[p->n++] = (eth_part){bytes, len};
}

static void append_hex(sb *out, broker_bytes bytes)
{
    hex_encode(sb_room(out, 2 * bytes.len), bytes.ptr, bytes.len);
    out->len += 2 * bytes.len;
    out->data[out->len] = '\0';
}

void streamr_new_key_text(sb *out, const broker_msg *m)
{
    sb_putc(out, '[');
    streamr_json_text(out, m->new_key_id.ptr, m->new_key_id.len);
    sb_puts(out, ",\"");
    append_hex(out, m->new_key_data);
    sb_puts(out, "\"]");
}

static void header(payload *p, const broker_msg *m)
{
    int len = snprintf(p->numbers, sizeof p->numbers, "%" PRIu32 "%" PRId64 "%" PRId32 "0x",
                       m->partition, m->timestamp_ms, m->sequence);
    size_t used = (size_t)len;

    add(p, m->stream.ptr, m->stream.len);
    if (m->publisher.len <= SHORT_KEY) {
        hex_encode(p->numbers + used, m->publisher.ptr, m->publisher.len);
        used += 2 * m->publisher.len;
    }
    add(p, p->numbers, used);
    if (m->publisher.len > SHORT_KEY) {
        append_hex(&p->publisher, m->publisher);
        add(p, p->publisher.data, p->publisher.len);
    }
    add(p, m->chain.ptr, m->chain.len);
    if ((m->flags & BROKER_MSG_HAS_PREV) != 0) {
        len = snprintf(p->prev, sizeof p->prev, "%" PRId64 "%" PRId32, m->prev_timestamp_ms,
                       m->prev_sequence);
        add(p, p->prev, (size_t)len);
    }
}

/* The values of one bytes field, in order; nothing when it is absent. */
static void append_fields(sb *out, view in, uint32_t number)
{
    pb_field f;

    while (pb_next(&in, &f) > 0)
        if (f.number == number && f.wire == PB_WIRE_LEN)
            sb_append(out, f.bytes.p, view_left(&f.bytes));
}

/* The order is the protocol's, not that of the bytes. */
static void exchange(sb *out, const broker_msg *m)
{
    view in;
    pb_field f;

    if (m->content.len == 0)
        return;
    in = view_of(m->content.ptr, m->content.len);
    append_fields(out, in, REQUEST_ID);
    append_fields(out, in, REQUEST_RECIPIENT);
    if (m->body == BROKER_BODY_KEY_REQUEST) {
        append_fields(out, in, REQUEST_PUBLIC_KEY);
        append_fields(out, in, REQUEST_KEY_IDS);
        return;
    }
    while (pb_next(&in, &f) > 0) {
        if (f.number != RESPONSE_KEYS || f.wire != PB_WIRE_LEN)
            continue;
        append_fields(out, f.bytes, KEY_ID);
        append_fields(out, f.bytes, KEY_DATA);
    }
}

static void payload_init(payload *p, const broker_msg *m)
{
    bool new_key = (m->flags & BROKER_MSG_HAS_NEW_KEY) != 0;

    p->n = 0;
    p->publisher = (sb)SB_INIT;
    p->body = (sb)SB_INIT;
    header(p, m);
    if (m->body != BROKER_BODY_CONTENT) {
        exchange(&p->body, m);
    } else if (m->signature_type != BROKER_SIGNATURE_LEGACY) {
        add(p, m->content.ptr, m->content.len);
        if (new_key) {
            add(p, m->new_key_id.ptr, m->new_key_id.len);
            add(p, m->new_key_data.ptr, m->new_key_data.len);
        }
    } else {
        if (m->encryption_type == BROKER_ENCRYPTION_NONE)
            add(p, m->content.ptr, m->content.len);
        else
            append_hex(&p->body, m->content);
        if (new_key)
            streamr_new_key_text(&p->body, m);
    }
    if (p->body.len != 0)
        add(p, p->body.data, p->body.len);
}

static void payload_done(payload *p)
{
    sb_done(&p->publisher);
    sb_done(&p->body);
}

void streamr_signed_payload(const broker_msg *msg, sb *out)
{
    payload p;

    payload_init(&p, msg);
    for (size_t i = 0; i < p.n; i++)
        sb_append(out, p.part[i].bytes, p.part[i].len);
    payload_done(&p);
}

/* ---- Comparing ---- */

static bool same(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

bool streamr_same_identity(const broker_msg *a, const broker_msg *b)
{
    return a->timestamp_ms == b->timestamp_ms && a->sequence == b->sequence &&
           a->partition == b->partition &&
           same(a->publisher.ptr, a->publisher.len, b->publisher.ptr, b->publisher.len) &&
           same(a->chain.ptr, a->chain.len, b->chain.ptr, b->chain.len) &&
           same(a->stream.ptr, a->stream.len, b->stream.ptr, b->stream.len);
}

static size_t total(const payload *p)
{
    size_t sum = 0;

    for (size_t i = 0; i < p->n; i++)
        sum += p->part[i].len;
    return sum;
}

bool streamr_same_payload(const broker_msg *a, const broker_msg *b)
{
    size_t i = 0, j = 0, i_at = 0, j_at = 0;
    payload p, q;
    bool equal;

    payload_init(&p, a);
    payload_init(&q, b);
    equal = total(&p) == total(&q);
    /* The pieces may be cut differently: compare as far as the shorter one goes. */
    while (equal && i < p.n && j < q.n) {
        size_t left = p.part[i].len - i_at, right = q.part[j].len - j_at;
        size_t len = left < right ? left : right;

        equal = len == 0 || memcmp((const uint8_t *)p.part[i].bytes + i_at,
                                   (const uint8_t *)q.part[j].bytes + j_at, len) == 0;
        i_at += len;
        j_at += len;
        if (i_at == p.part[i].len)
            i++, i_at = 0;
        if (j < q.n && j_at == q.part[j].len)
            j++, j_at = 0;
    }
    payload_done(&p);
    payload_done(&q);
    return equal;
}

/* ---- Verifying and signing ---- */

static const char *verify_ethereum(const broker_msg *m)
{
    uint8_t digest[32], pub[64], address[20];
    const uint8_t *sig = m->signature.ptr;
    payload p;

    if (m->publisher.len != 20)
        return "the publisher of a secp256k1 signature is not an address of 20 bytes";
    if (m->signature.len != 65)
        return "a secp256k1 signature is not 65 bytes";
    /* eth_recover() also takes 0 and 1; Streamr does not. */
    if (sig[64] < 27 || sig[64] > 30)
        return "the recovery byte of the signature is not 27 to 30";
    if (m->signature_type == BROKER_SIGNATURE_LEGACY && m->body != BROKER_BODY_CONTENT)
        return "a legacy signature on a message that is not content";
    /* The legacy payload is text. Bytes that are none would be signed as something else. */
    if (m->signature_type == BROKER_SIGNATURE_LEGACY &&
        m->encryption_type == BROKER_ENCRYPTION_NONE && !streamr_is_text(m->content))
        return "a legacy signature on content that is not UTF-8";
    payload_init(&p, m);
    eth_personal_digest(p.part, p.n, digest);
    payload_done(&p);
    if (!eth_recover(digest, sig, pub))
        return "no key can have made the signature";
    eth_address_of(pub, address);
    if (memcmp(address, m->publisher.ptr, sizeof address) != 0)
        return "the signature is not the publisher's";
    return NULL;
}

static const char *verify_p256(const broker_msg *m)
{
    payload p;
    bool ok;

    if (m->publisher.len != 33)
        return "the publisher of a P-256 signature is not a compressed key of 33 bytes";
    if (m->signature.len != 64)
        return "a P-256 signature is not 64 bytes";
    payload_init(&p, m);
    ok = eth_p256_verify(p.part, p.n, m->publisher.ptr, m->signature.ptr);
    payload_done(&p);
    return ok ? NULL : "the signature is not the publisher's";
}

static const char *verify_ml_dsa(const broker_msg *m)
{
    mldsa_part parts[COUNT_OF(((payload *)0)->part)];
    payload p;
    bool ok;

    if (m->publisher.len != MLDSA87_KEY_LEN)
        return "the publisher of an ML-DSA-87 signature is not a key of 2592 bytes";
    if (m->signature.len != MLDSA87_SIG_LEN)
        return "an ML-DSA-87 signature is not 4627 bytes";
    payload_init(&p, m);
    for (size_t i = 0; i < p.n; i++)
        parts[i] = (mldsa_part){p.part[i].bytes, p.part[i].len};
    ok = mldsa87_verify(m->publisher.ptr, parts, p.n, m->signature.ptr);
    payload_done(&p);
    return ok ? NULL : "the signature is not the publisher's";
}

streamr_check streamr_verify(const broker_msg *msg, const char **why)
{
    switch (msg->signature_type) {
    case BROKER_SIGNATURE_LEGACY:
    case BROKER_SIGNATURE_SECP256K1:
        *why = verify_ethereum(msg);
        break;
    case BROKER_SIGNATURE_SECP256R1:
        *why = verify_p256(msg);
        break;
    case BROKER_SIGNATURE_ERC_1271:
        *why = "the signature of a contract (ERC-1271) can only be checked on its chain";
        return STREAMR_UNVERIFIABLE;
    case BROKER_SIGNATURE_ML_DSA_87:
        *why = verify_ml_dsa(msg);
        break;
    default:
        *why = "the signature type is not one of the protocol (0 to 4)";
    }
    return *why == NULL ? STREAMR_VALID : STREAMR_INVALID;
}

void streamr_sign(broker_msg *msg, const uint8_t key[32], uint8_t sig[65])
{
    uint8_t digest[32];
    payload p;

    msg->signature_type = BROKER_SIGNATURE_SECP256K1;
    payload_init(&p, msg);
    eth_personal_digest(p.part, p.n, digest);
    payload_done(&p);
    eth_sign(digest, key, sig);
    msg->signature = (broker_bytes){sig, 65};
}
