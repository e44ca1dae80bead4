/* key -- the node's private key, from the configuration or a file. See conf.h. */
#include "conf/conf.h"

#include <errno.h>
#include <sys/stat.h>

static bool key_parse(const char *text, uint8_t key[32])
{
    size_t len;

    text += strspn(text, " \t\r\n");
    if (text[0] == '0' && text[1] == 'x')
        text += 2;
    len = strcspn(text, " \t\r\n");
    return len == 64 && text[len + strspn(text + len, " \t\r\n")] == '\0' &&
           hex_decode(key, text, len);
}

static int key_from_file(const char *path, uint8_t key[32], sb *why)
{
    struct stat st;
    size_t len;
    char *text;
    bool ok;

    if (stat(path, &st) != 0) {
        sb_printf(why,
                  "cannot read the private key file '%s' (%s); make one with: logstore keygen %s",
                  path, strerror(errno), path);
        return -1;
    }
    if ((st.st_mode & 077) != 0) {
        sb_printf(why, "the private key file '%s' can be read by others; run: chmod 600 %s", path,
                  path);
        return -1;
    }
    text = file_read(path, 4096, &len);
    if (text == NULL) {
        sb_printf(why, "cannot read the private key file '%s' (%s)", path, strerror(errno));
        return -1;
    }
    ok = key_parse(text, key);
    explicit_bzero(text, len);
    free(text);
    if (!ok)
        sb_printf(why, "the private key file '%s' does not hold 64 hex digits", path);
    return ok ? 1 : -1;
}

int conf_private_key(conf *c, uint8_t key[32], sb *why)
{
    const char *text = json_string_value(json_at(conf_root(c), "client.auth.privateKey"));
    const char *file = json_string_value(json_at(conf_root(c), "client.auth.privateKeyFile"));

    if (file != NULL)
        return key_from_file(file, key, why);
    if (text == NULL)
        return 0;
    if (key_parse(text, key))
        return 1;
    sb_puts(why, "client.auth.privateKey does not hold 64 hex digits");
    return -1;
}
