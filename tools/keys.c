/* keys -- `keygen` and `address`, and reading a private key file. */
#include "client.h"
#include "eth/eth.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

bool key_read(const char *file, uint8_t key[32])
{
    uint8_t pub[64];
    size_t len;
    char *text = file_read(file, 4096, &len), *p = text;
    bool ok = false;

    if (text == NULL) {
        fprintf(stderr, "cannot read the key file '%s' (%s); make one with: logstore keygen %s\n",
                file, strerror(errno), file);
        return false;
    }
    p += strspn(p, " \t\r\n");
    if (strncmp(p, "0x", 2) == 0)
        p += 2;
    len = strcspn(p, " \t\r\n");
    ok = len == 64 && hex_decode(key, p, 64) && eth_key_public(key, pub);
    if (!ok)
        fprintf(stderr, "'%s' does not hold a private key: expected 64 hex digits\n", file);
    free(text);
    return ok;
}

static void address_print(const uint8_t key[32])
{
    uint8_t pub[64], address[20];
    char text[43];

    must(eth_key_public(key, pub));
    eth_address_of(pub, address);
    eth_address_text(address, text);
    puts(text);
}

int cmd_address(client *c, int argc, char **argv)
{
    const char *file = argc > 0 ? argv[0] : c->key_file;
    uint8_t key[32];

    if (file == NULL) {
        fputs("usage: logstore address FILE\n", stderr);
        return EXIT_USAGE;
    }
    if (!key_read(file, key))
        return EXIT_REFUSED;
    address_print(key);
    return EXIT_GOOD;
}

int cmd_keygen(client *c, int argc, char **argv)
{
    uint8_t key[32], pub[64];
    char text[65];
    int fd;
    bool ok;

    (void)c;
    if (argc != 1) {
        fputs("usage: logstore keygen FILE\n", stderr);
        return EXIT_USAGE;
    }
    do
        random_bytes(key, sizeof key);
    while (!eth_key_public(key, pub));
    hex_encode(text, key, sizeof key);
    text[64] = '\n';
    fd = open(argv[0], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        fprintf(stderr, "cannot make '%s' (%s)%s\n", argv[0], strerror(errno),
                errno == EEXIST ? "; an existing key is never overwritten" : "");
        return EXIT_REFUSED;
    }
    ok = write(fd, text, sizeof text) == (ssize_t)sizeof text && fsync(fd) == 0;
    close(fd);
    explicit_bzero(text, sizeof text);
    if (!ok) {
        fprintf(stderr, "cannot write '%s' (%s)\n", argv[0], strerror(errno));
        return EXIT_REFUSED;
    }
    address_print(key);
    explicit_bzero(key, sizeof key);
    return EXIT_GOOD;
}
