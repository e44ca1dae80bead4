/* build_id -- see build_id.h. */
#include "run/build_id.h"

#include <elf.h>
#include <link.h>

typedef struct find {
    uintptr_t address;
    char *out;
    bool found;
} find;

static bool has_address(const struct dl_phdr_info *info, uintptr_t address)
{
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;

        if (info->dlpi_phdr[i].p_type == PT_LOAD && address >= from &&
            address - from < info->dlpi_phdr[i].p_memsz)
            return true;
    }
    return false;
}

static int look(struct dl_phdr_info *info, size_t size, void *arg)
{
    find *f = arg;

    (void)size;
    if (!has_address(info, f->address))
        return 0;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        view v = view_of((const void *)(info->dlpi_addr + ph->p_vaddr), ph->p_memsz);
        ElfW(Nhdr) note;

        while (ph->p_type == PT_NOTE && view_read(&v, &note, sizeof note)) {
            const uint8_t *name, *id;

            if (!view_skip(&v, (note.n_namesz + 3u) & ~3u, &name) ||
                !view_skip(&v, (note.n_descsz + 3u) & ~3u, &id))
                break;
            if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != 4 ||
                memcmp(name, "GNU", 4) != 0 || note.n_descsz > 20)
                continue;
            hex_encode(f->out, id, note.n_descsz);
            f->out[2 * note.n_descsz] = '\0';
            f->found = true;
            return 1;
        }
    }
    return 1;
}

bool build_id_of(const void *address, char out[41])
{
    find f = {(uintptr_t)address, out, false};

    dl_iterate_phdr(look, &f);
    return f.found;
}
