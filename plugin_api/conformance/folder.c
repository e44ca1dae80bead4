/* folder -- see folder.h. */
#include "folder.h"

#include "base/base.h"

#include <ftw.h>
#include <unistd.h>

static char path[] = P_tmpdir "/logstore-kit-XXXXXX";
static bool made;

const char *folder_of_child(void)
{
    if (!made)
        made = mkdtemp(path) != NULL;
    must(made); /* P_tmpdir is writable */
    return path;
}

static int entry_remove(const char *name, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(name);
}

void folder_remove(void)
{
    if (made)
        nftw(path, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
    made = false;
}
