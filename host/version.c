/* version -- see version.h. */
#include "version.h"

#include <broker/plugin.h>
#include <elf.h>
#include <jansson.h>
#include <link.h>
#include <openssl/crypto.h>
#include <uv.h>

/* The linker's hash of the program: two files with one id are the same build. The first
 * object is the program itself. */
static int build_id_find(struct dl_phdr_info *info, size_t size, void *arg)
{
    sb *out = arg;

    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        view v = view_of((const void *)(info->dlpi_addr + ph->p_vaddr), ph->p_memsz);
        ElfW(Nhdr) note;

        while (ph->p_type == PT_NOTE && view_read(&v, &note, sizeof note)) {
            const uint8_t *name, *id;

            if (!view_skip(&v, (note.n_namesz + 3u) & ~3u, &name) ||
                !view_skip(&v, (note.n_descsz + 3u) & ~3u, &id))
                break;
            if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != 4 || memcmp(name, "GNU", 4) != 0)
                continue;
            hex_encode(sb_room(out, 2u * note.n_descsz), id, note.n_descsz);
            out->len += 2u * note.n_descsz;
            return 1;
        }
    }
    sb_puts(out, "none");
    return 1;
}

void version_describe(sb *out)
{
    sb_printf(out, "logstore-broker %s\nbuild ", LOGSTORE_VERSION);
    dl_iterate_phdr(build_id_find, out);
    sb_printf(out, "\nplugin ABI %u.%u\nlibuv %s, jansson %s, %s\n", BROKER_ABI_MAJOR,
              BROKER_ABI_MINOR, uv_version_string(), jansson_version_str(),
              OpenSSL_version(OPENSSL_VERSION));
}
