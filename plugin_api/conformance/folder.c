/* folder -- see folder.h. The environment carries its name to the child. */
#include "folder.h"

#include "base/base.h"

#include <ftw.h>
#include <unistd.h>

void folder_make(void)
{
    char path[] = P_tmpdir "/logstore-kit-XXXXXX";

    must(mkdtemp(path) != NULL && setenv(FOLDER_VARIABLE, path, 1) == 0); /* P_tmpdir is writable */
}

static int entry_remove(const char *name, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(name);
}

void folder_remove(void)
{
    nftw(folder_of_child(), entry_remove, 16, FTW_DEPTH | FTW_PHYS);
}

const char *folder_of_child(void)
{
    const char *path = getenv(FOLDER_VARIABLE);

    must(path != NULL);
    return path;
}
