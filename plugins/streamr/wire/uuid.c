/* uuid -- see uuid.h. */
#include "wire/uuid.h"

void uuid_make(uuid_source *source, char out[UUID_LEN])
{
    uint8_t *id;

    if (source->left == 0) {
        random_bytes(source->bytes, sizeof source->bytes);
        source->left = sizeof source->bytes;
    }
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
