#include "plugin/manifest.h"

#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if UINTPTR_MAX == UINT64_MAX
typedef Elf64_Ehdr elf_ehdr;
typedef Elf64_Phdr elf_phdr;
#define ELF_CLASS ELFCLASS64
#else
typedef Elf32_Ehdr elf_ehdr;
typedef Elf32_Phdr elf_phdr;
#define ELF_CLASS ELFCLASS32
#endif

/* The head of this very program, placed by the linker. */
extern const elf_ehdr __ehdr_start __attribute__((visibility("hidden")));

/* A view of the file. Offsets in it are the file's word: each is checked
 * against len before it is followed, and nothing is assumed to be aligned. */
typedef struct image {
    const uint8_t *base;
    size_t len;
} image;

static const uint8_t *image_at(const image *im, uint64_t off, uint64_t len)
{
    if (off > im->len || len > im->len - off)
        return NULL;
    return im->base + off;
}

static int image_read(const image *im, uint64_t off, void *to, size_t len)
{
    const uint8_t *from = image_at(im, off, len);

    if (from == NULL)
        return 0;
    memcpy(to, from, len);
    return 1;
}

/* The manifest inside one PT_NOTE segment, or NULL. */
static const uint8_t *note_find(const uint8_t *p, size_t len, uint32_t *descsz)
{
    while (len >= 12) {
        uint32_t h[3];
        size_t name_len, desc_len;

        memcpy(h, p, sizeof h);
        name_len = ((size_t)h[0] + 3) & ~(size_t)3;
        desc_len = ((size_t)h[1] + 3) & ~(size_t)3;
        if (name_len > len - 12 || desc_len > len - 12 - name_len)
            return NULL;
        if (h[2] == BROKER_NOTE_TYPE && h[0] == 8 && memcmp(p + 12, BROKER_NOTE_OWNER, 8) == 0) {
            *descsz = h[1];
            return p + 12 + name_len;
        }
        p += 12 + name_len + desc_len;
        len -= 12 + name_len + desc_len;
    }
    return NULL;
}

/* Everything that would be mapped is there: beyond the end of a file wait signals. */
static bool is_whole(const image *im, const elf_ehdr *eh)
{
    for (unsigned i = 0; i < eh->e_phnum; i++) {
        elf_phdr ph;

        if (!image_read(im, eh->e_phoff + (uint64_t)i * eh->e_phentsize, &ph, sizeof ph))
            return false;
        if (ph.p_type == PT_LOAD && image_at(im, ph.p_offset, ph.p_filesz) == NULL)
            return false;
    }
    /* The section headers come last in the file. */
    return image_at(im, eh->e_shoff, (uint64_t)eh->e_shnum * eh->e_shentsize) != NULL;
}

static broker_rc image_manifest(const image *im, broker_manifest *out, char *why, size_t why_len)
{
    elf_ehdr eh;

    if (!image_read(im, 0, &eh, sizeof eh) || memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0) {
        snprintf(why, why_len, "not a shared library");
        return BROKER_EINVAL;
    }
    if (eh.e_ident[EI_CLASS] != ELF_CLASS) {
        snprintf(why, why_len, "built for another word size");
        return BROKER_EINVAL;
    }
    if (eh.e_type != ET_DYN) {
        snprintf(why, why_len, "not a shared library, but another kind of ELF file");
        return BROKER_EINVAL;
    }
    if (eh.e_machine != __ehdr_start.e_machine) {
        snprintf(why, why_len, "built for another machine (ELF machine %u, this host %u)",
                 eh.e_machine, __ehdr_start.e_machine);
        return BROKER_EINVAL;
    }
    if (!is_whole(im, &eh)) {
        snprintf(why, why_len, "the file is cut short; copy it again");
        return BROKER_EINVAL;
    }
    for (unsigned i = 0; i < eh.e_phnum; i++) {
        elf_phdr ph;
        const uint8_t *notes, *m;
        uint32_t descsz;

        if (!image_read(im, eh.e_phoff + (uint64_t)i * eh.e_phentsize, &ph, sizeof ph))
            break;
        if (ph.p_type != PT_NOTE)
            continue;
        notes = image_at(im, ph.p_offset, ph.p_filesz);
        if (notes == NULL)
            break;
        m = note_find(notes, ph.p_filesz, &descsz);
        if (m == NULL)
            continue;
        if (descsz < sizeof *out) {
            snprintf(why, why_len, "manifest is %u bytes, need %zu", descsz, sizeof *out);
            return BROKER_EINVAL;
        }
        memcpy(out, m, sizeof *out);
        out->name[sizeof out->name - 1] = '\0';
        out->version[sizeof out->version - 1] = '\0';
        return BROKER_OK;
    }
    snprintf(why, why_len, "no broker manifest; is BROKER_PLUGIN() missing?");
    return BROKER_EINVAL;
}

broker_rc manifest_parse(const void *bytes, size_t len, broker_manifest *out, char *why,
                         size_t why_len)
{
    image im = {bytes, len};

    return image_manifest(&im, out, why, why_len);
}

broker_rc manifest_read(const char *path, broker_manifest *out, char *why, size_t why_len)
{
    struct stat st;
    void *map;
    broker_rc rc;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0) {
        snprintf(why, why_len, "cannot be read");
        if (fd >= 0)
            close(fd);
        return BROKER_EIO;
    }
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (map == MAP_FAILED) {
        snprintf(why, why_len, "cannot be mapped");
        return BROKER_EIO;
    }
    rc = manifest_parse(map, (size_t)st.st_size, out, why, why_len);
    munmap(map, (size_t)st.st_size);
    return rc;
}

broker_rc manifest_check(const broker_manifest *m, char *why, size_t why_len)
{
    if (m->abi_major != BROKER_ABI_MAJOR) {
        snprintf(why, why_len,
                 "built for plugin ABI %u.%u; this host speaks %u.%u. "
                 "Rebuild it against broker/plugin.h of this host",
                 m->abi_major, m->abi_minor, BROKER_ABI_MAJOR, BROKER_ABI_MINOR);
        return BROKER_EINVAL;
    }
    if (m->abi_minor > BROKER_ABI_MINOR) {
        snprintf(why, why_len,
                 "needs plugin ABI %u.%u or newer; this host speaks %u.%u. "
                 "Upgrade the host, or build the plugin with -DBROKER_NEEDS_MINOR=%u",
                 m->abi_major, m->abi_minor, BROKER_ABI_MAJOR, BROKER_ABI_MINOR, BROKER_ABI_MINOR);
        return BROKER_EINVAL;
    }
    if (m->layout != BROKER_LAYOUT) {
        snprintf(why, why_len,
                 "compiled with other type layouts (%08x, host %08x); "
                 "drop -m32, -mx32 or -fpack-struct",
                 m->layout, BROKER_LAYOUT);
        return BROKER_EINVAL;
    }
    if (m->name[0] == '\0' ||
        strspn(m->name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(m->name)) {
        snprintf(why, why_len, "its name must be made of a-z, 0-9 and _");
        return BROKER_EINVAL;
    }
    return BROKER_OK;
}
