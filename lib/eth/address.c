/* address -- Ethereum addresses: from keys, from text, to text. */
#include "eth/eth.h"

#include <string.h>

void eth_address_of(const uint8_t pub[64], uint8_t address[20])
{
    uint8_t hash[32];

    eth_keccak256(pub, 64, hash);
    memcpy(address, hash + 12, 20);
}

bool eth_address_parse(const char *text, size_t len, uint8_t out[20])
{
    uint8_t bytes[20];

    if (len != 42 || text[0] != '0' || text[1] != 'x' || !hex_decode(bytes, text + 2, 40))
        return false;
    memcpy(out, bytes, sizeof bytes);
    return true;
}

void eth_address_text(const uint8_t address[20], char out[43])
{
    out[0] = '0';
    out[1] = 'x';
    hex_encode(out + 2, address, 20);
    out[42] = '\0';
}

void eth_address_checksum_text(const uint8_t address[20], char out[43])
{
    uint8_t hash[32];

    eth_address_text(address, out);
    eth_keccak256(out + 2, 40, hash);
    /* EIP-55: a letter is upper case where the hash of the text has a digit above 7. */
    for (unsigned i = 0; i < 40; i++) {
        unsigned digit = i % 2 == 0 ? hash[i / 2] >> 4 : hash[i / 2] & 15u;

        if (digit > 7 && out[2 + i] >= 'a')
            out[2 + i] = (char)(out[2 + i] - 'a' + 'A');
    }
}
