/* keys -- `keygen` and `address`, and reading a private key file. */
#include "client.h"
#include "eth/eth.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

bool key_read(const char *file, uint8_t key[32])
{
    uint8_t pub[64];
    struct stat st;
    size_t len;
    char *text = file_read(file, 4096, &len), *p = text;
    bool ok;

    if (text == NULL) {
        fprintf(stderr,
                "cannot read the key file '%s' (%s); make one with: logstore "
                "keygen %s\n",
                file, strerror(errno), file);
        return false;
    }
    if (stat(file, &st) == 0 && (st.st_mode & 077) != 0) {
        fprintf(stderr, "others may read the key file '%s' (mode %03o); run: chmod 600 %s\n", file,
                st.st_mode & 0777, file);
        explicit_bzero(text, len);
        free(text);
        return false;
    }
    p += strspn(p, " \t\r\n");
    if (strncmp(p, "0x", 2) == 0)
        p += 2;
    ok = strcspn(p, " \t\r\n") == 64 && p[64 + strspn(p + 64, " \t\r\n")] == '\0' &&
         hex_decode(key, p, 64) && eth_key_public(key, pub);
    if (!ok)
        fprintf(stderr, "'%s' does not hold a private key: expected 64 hex digits\n", file);
    explicit_bzero(text, len);
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

    if (file == NULL || argc > 1)
        return EXIT_USAGE;
    if (!key_read(file, key))
        return EXIT_REFUSED;
    address_print(key);
    explicit_bzero(key, sizeof key);
    return EXIT_GOOD;
}

int cmd_keygen(client *c, int argc, char **argv)
{
    uint8_t key[32], pub[64];
    char text[65];
    int fd;
    bool ok;

    (void)c;
    if (argc != 1)
        return EXIT_USAGE;
    fd = open(argv[0], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        fprintf(stderr, "cannot make '%s' (%s)%s\n", argv[0], strerror(errno),
                errno == EEXIST ? "; an existing file is never overwritten" : "");
        return EXIT_REFUSED;
    }
    do
        random_bytes(key, sizeof key);
    while (!eth_key_public(key, pub));
    hex_encode(text, key, sizeof key);
    text[64] = '\n';
    ok = write_all(fd, text, sizeof text) && fsync(fd) == 0;
    ok = close(fd) == 0 && ok;
    explicit_bzero(text, sizeof text);
    if (ok)
        address_print(key);
    else {
        fprintf(stderr, "cannot write '%s' (%s)\n", argv[0], strerror(errno));
        unlink(argv[0]);
    }
    explicit_bzero(key, sizeof key);
    return ok ? EXIT_GOOD : EXIT_REFUSED;
}
