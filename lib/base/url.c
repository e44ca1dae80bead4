/* url -- percent-encoding, and which host names mean this machine alone. */
#include "base/base.h"

bool percent_decode(const char *s, size_t len, bool plus, sb *out)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t byte;

        if (s[i] == '%') {
            if (len - i < 3 || !hex_decode(&byte, s + i + 1, 2))
                return false;
            sb_putc(out, (char)byte);
            i += 2;
        } else {
            sb_putc(out, plus && s[i] == '+' ? ' ' : s[i]);
        }
    }
    sb_room(out, 1)[0] = '\0';
    return true;
}

bool host_is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}
