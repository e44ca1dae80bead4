/* uuid -- see uuid.h. */
#include "wire/uuid.h"

#include <nettle/chacha.h>
#include <string.h>

#define ROUNDS 1024u /* a MiB a key of the kernel's */

/* Each key makes the next one and a block of bytes, and is forgotten: what was drawn cannot be
 * found out from what is here now. */
static void refill(uuid_source *source)
{
    static const uint8_t zeros[sizeof source->bytes], nonce[CHACHA_NONCE_SIZE];
    struct chacha_ctx cipher;

    if (source->rounds == 0) {
        random_bytes(source->key, sizeof source->key);
        source->rounds = ROUNDS;
    }
    source->rounds--;
    chacha_set_key(&cipher, source->key);
    chacha_set_nonce(&cipher, nonce);
    chacha_crypt(&cipher, sizeof source->key, source->key, zeros);
    chacha_crypt(&cipher, sizeof source->bytes, source->bytes, zeros);
    source->left = sizeof source->bytes;
}

void uuid_make(uuid_source *source, char out[UUID_LEN])
{
    uint8_t *id;

    if (source->left == 0)
        refill(source);
    source->left -= 16;
    id = source->bytes + source->left;
    id[6] = (uint8_t)(0x40 | (id[6] & 0x0f));
    id[8] = (uint8_t)(0x80 | (id[8] & 0x3f));
    hex_encode(out, id, 4);
    hex_encode(out + 9, id + 4, 2);
    hex_encode(out + 14, id + 6, 2);
    hex_encode(out + 19, id + 8, 2);
    hex_encode(out + 24, id + 10, 6);
    out[8] = out[13] = out[18] = out[23] = '-';
}
