/* output -- bytes to a descriptor, all of them. See client.h. */
#include "client.h"

#include <errno.h>
#include <unistd.h>

bool write_all(int fd, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;

    while (len != 0) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (errno != EPIPE) /* `| head` has seen enough */
                fprintf(stderr, "cannot write (%s)\n", strerror(errno));
            return false;
        }
        p += n;
        len -= (size_t)n;
    }
    return true;
}

bool write_frame(int fd, const uint8_t *raw, size_t len)
{
    uint8_t length[4];

    put_u32be(length, (uint32_t)len);
    return write_all(fd, length, sizeof length) && write_all(fd, raw, len);
}
