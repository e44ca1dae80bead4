/* client -- asking a running node. See admin.h. */
#include "admin/admin.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_S 120 /* a swap may take its time; the node itself has limits */

static int dial(const char *path, sb *text)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd;

    if (strlen(path) >= sizeof to.sun_path) {
        sb_printf(text,
                  "the path of the admin socket '%s' is longer than %zu bytes; set "
                  "admin.socket to a shorter one",
                  path, sizeof to.sun_path - 1);
        return -1;
    }
    memcpy(to.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0)
        return fd;
    sb_printf(text, "no node answers at '%s' (%s); is it running, with this configuration?", path,
              strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool send_all(int fd, const sb *bytes)
{
    for (size_t at = 0; at < bytes->len;) {
        ssize_t n = send(fd, bytes->data + at, bytes->len - at, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

/* 1: *ok and *text; 0: the connection ended first. */
static int receive(int fd, bool *ok, sb *text)
{
    sb got = SB_INIT;
    int rc = 0;

    while (rc == 0 && got.len < ADMIN_ANSWER_MAX) {
        ssize_t n = recv(fd, sb_room(&got, 4096), 4096, 0);

        if (n <= 0)
            break;
        got.len += (size_t)n;
        rc = admin_answer_read(got.data, got.len, ok, text);
    }
    sb_done(&got);
    return rc == 1;
}

bool admin_ask(const char *path, const admin_request *r, bool *ok, sb *text)
{
    sb bytes = SB_INIT;
    int fd = dial(path, text);
    bool asked = false;

    if (fd < 0)
        return false;
    admin_request_write(r, &bytes);
    if (send_all(fd, &bytes) && receive(fd, ok, text) == 1)
        asked = true;
    else
        sb_printf(text, "the node at '%s' did not answer; its log says more", path);
    close(fd);
    sb_done(&bytes);
    return asked;
}
