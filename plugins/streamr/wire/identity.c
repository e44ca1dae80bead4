/* identity -- see identity.h. */
#include "wire/identity.h"

#include "eth/eth.h"
#include "streamr/streamr.h"

#include <nettle/md5.h>
#include <nettle/sha1.h>

/* ---- Node ids ---- */

bool node_id_of(pb_bytes bytes, node_id *out)
{
    if (bytes.len != NODE_ID_LEN)
        return false;
    memcpy(out->bytes, bytes.ptr, NODE_ID_LEN);
    return true;
}

bool node_id_of_text(pb_bytes hex, node_id *out)
{
    node_id id;

    if (hex.len != NODE_ID_TEXT_LEN || !hex_decode(id.bytes, (const char *)hex.ptr, hex.len))
        return false;
    *out = id;
    return true;
}

void node_id_text(const node_id *id, char out[NODE_ID_TEXT_LEN + 1])
{
    hex_encode(out, id->bytes, NODE_ID_LEN);
    out[NODE_ID_TEXT_LEN] = '\0';
}

int node_id_nearer(const node_id *target, const node_id *a, const node_id *b)
{
    for (unsigned i = 0; i < NODE_ID_LEN; i++) {
        int d = (a->bytes[i] ^ target->bytes[i]) - (b->bytes[i] ^ target->bytes[i]);

        if (d != 0)
            return d;
    }
    return 0;
}

node_id node_id_from_ip(uint32_t ip, const uint8_t key[32])
{
    uint8_t bytes[4], digest[32], sig[65];
    eth_part part = {bytes, sizeof bytes};
    node_id id;

    put_u32be(bytes, ip);
    eth_personal_digest(&part, 1, digest);
    eth_sign(digest, key, sig);
    memcpy(id.bytes, digest + sizeof digest - 13, 13);
    memcpy(id.bytes + 13, sig + sizeof sig - 7, 7);
    return id;
}

node_id node_id_random(void)
{
    node_id id;

    random_bytes(id.bytes, sizeof id.bytes);
    return id;
}

static int32_t offer_hash(const node_id *a, const node_id *b)
{
    char text[2 * NODE_ID_TEXT_LEN + 2];
    uint8_t sum[MD5_DIGEST_SIZE];
    struct md5_ctx md5;

    node_id_text(a, text);
    text[NODE_ID_TEXT_LEN] = ',';
    node_id_text(b, text + NODE_ID_TEXT_LEN + 1);
    md5_init(&md5);
    md5_update(&md5, sizeof text - 1, (const uint8_t *)text);
    md5_digest(&md5, sizeof sum, sum);
    return (int32_t)((uint32_t)sum[3] << 24 | (uint32_t)sum[2] << 16 | (uint32_t)sum[1] << 8 |
                     sum[0]);
}

bool node_id_offers(const node_id *local, const node_id *remote)
{
    return offer_hash(local, remote) < offer_hash(remote, local);
}

/* ---- Descriptors ---- */

bool peer_same(const dht_peer *a, const dht_peer *b)
{
    return a->node_id.len == NODE_ID_LEN && b->node_id.len == NODE_ID_LEN &&
           memcmp(a->node_id.ptr, b->node_id.ptr, NODE_ID_LEN) == 0;
}

bool peer_node_id(pb_bytes descriptor, node_id *out)
{
    view in = view_of(descriptor.ptr, descriptor.len);
    pb_bytes last = {NULL, 0};
    pb_field f;
    int more;

    while ((more = pb_next(&in, &f)) > 0)
        if (f.number == 1 && f.wire == PB_WIRE_LEN)
            last = (pb_bytes){f.bytes.p, view_left(&f.bytes)};
    return more == 0 && node_id_of(last, out);
}

void peer_encode(const peer_self *self, sb *out)
{
    dht_method server = {.port = self->port, .tls = self->tls};
    dht_peer peer = {.node_id = node_id_bytes(&self->id),
                     .type = (int32_t)self->type,
                     .region = self->region,
                     .ip = self->ip,
                     .public_key = {self->public_key, sizeof self->public_key},
                     .signature = {self->signature, sizeof self->signature}};

    if (self->host != NULL) {
        server.host = pb_bytes_of(self->host);
        peer.websocket = &server;
    }
    if (self->has_region)
        pb_set(&dht_peer_table, &peer, 6);
    if (self->has_ip)
        pb_set(&dht_peer_table, &peer, 7);
    if (self->has_public_key)
        pb_set(&dht_peer_table, &peer, 8);
    if (self->has_signature)
        pb_set(&dht_peer_table, &peer, 9);
    must(pb_encode(&dht_peer_table, &peer, out));
}

static void append_u32be(sb *out, uint32_t x)
{
    uint8_t bytes[4];

    put_u32be(bytes, x);
    sb_append(out, bytes, sizeof bytes);
}

void peer_signed_payload(const peer_self *self, sb *out)
{
    append_u32be(out, (uint32_t)self->type);
    sb_puts(out, ",,,"); /* no udp, no tcp */
    if (self->host != NULL) {
        dht_method server = {.port = self->port, .host = pb_bytes_of(self->host), .tls = self->tls};

        must(pb_encode(&dht_method_table, &server, out));
    }
    sb_putc(out, ',');
    if (self->has_region)
        append_u32be(out, self->region);
    sb_putc(out, ',');
    if (self->has_ip)
        append_u32be(out, self->ip);
    sb_putc(out, ',');
    if (self->has_public_key)
        sb_append(out, self->public_key, sizeof self->public_key);
}

void peer_sign(peer_self *self, const uint8_t key[32])
{
    sb payload = SB_INIT;
    uint8_t digest[32];
    eth_part part;

    random_bytes(self->public_key, sizeof self->public_key);
    self->has_public_key = true;
    peer_signed_payload(self, &payload);
    part = (eth_part){payload.data, payload.len};
    eth_personal_digest(&part, 1, digest);
    eth_sign(digest, key, self->signature);
    self->has_signature = true;
    sb_done(&payload);
}

/* ---- Ring ---- */

ring_id ring_id_of(const node_id *id, uint32_t region, uint32_t ip)
{
    ring_id ring;

    put_u32be(ring.bytes, region);
    put_u32be(ring.bytes + 4, ip);
    memcpy(ring.bytes + 8, id->bytes + NODE_ID_LEN - 7, 7);
    return ring;
}

bool ring_id_of_peer(const dht_peer *peer, ring_id *out)
{
    node_id id;

    if (!node_id_of(peer->node_id, &id))
        return false;
    /* Absent is 0 in the struct as in the ring. */
    *out = ring_id_of(&id, peer->region, peer->ip);
    return true;
}

static ring_distance number_of(const ring_id *id)
{
    ring_distance x = 0;

    for (unsigned i = 0; i < RING_ID_LEN; i++)
        x = x << 8 | id->bytes[i];
    return x;
}

ring_distance ring_left(const ring_id *a, const ring_id *b)
{
    const ring_distance size = ((ring_distance)1 << 120) - 1;
    ring_distance from = number_of(a), to = number_of(b);

    return from > to ? from - to : size - (to - from);
}

ring_distance ring_right(const ring_id *a, const ring_id *b)
{
    return ring_left(b, a);
}

/* ---- Stream parts ---- */

bool stream_part_read(pb_bytes text, pb_bytes *stream, uint32_t *partition)
{
    size_t at = text.len, digits;
    int64_t number;

    while (at > 0 && text.ptr[at - 1] != '#')
        at--;
    digits = text.len - at;
    /* One spelling each: no sign, no zero in front. */
    if (at < 2 || digits == 0 || digits > 2 || (digits == 2 && text.ptr[at] == '0') ||
        !parse_i64((const char *)text.ptr + at, digits, &number) || number < 0 ||
        number >= STREAMR_PARTITIONS || text.ptr[at] == '-')
        return false;
    if (streamr_stream_id_check((const char *)text.ptr, at - 1) != NULL)
        return false;
    *stream = (pb_bytes){text.ptr, at - 1};
    *partition = (uint32_t)number;
    return true;
}

void stream_part_write(pb_bytes stream, uint32_t partition, sb *out)
{
    sb_append(out, stream.ptr, stream.len);
    sb_printf(out, "#%u", partition);
}

node_id stream_part_key(pb_bytes text)
{
    struct sha1_ctx sha1;
    node_id key;

    sha1_init(&sha1);
    sha1_update(&sha1, text.len, text.ptr);
    sha1_digest(&sha1, sizeof key.bytes, key.bytes);
    return key;
}
